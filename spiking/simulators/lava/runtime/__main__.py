"""Entry point: ``python -m runtime TOKEN``, requests on standard input, answers on standard output."""

import os
import sys

if __name__ == "__main__":
    os.write(1, b'{"alive": true}\n')  # importing the rest may take a while on a slow disk
    from .server import main

    sys.exit(main(sys.argv[1]))
