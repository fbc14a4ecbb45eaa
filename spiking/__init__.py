"""Networks of spiking and rate neurons, and the machines that run them."""
