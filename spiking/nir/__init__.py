r"""Networks as NIR graphs, the interchange format of neuromorphic software, and back, bit for bit.

A layer becomes a ``CubaLIF`` (a ``LIF`` where there is no synaptic filter) with one value per neuron, a
connection an ``Affine``, with a ``Delay`` before it where it takes more than a step. To NIR's programs a
spike is a current of 1 during its step, to us one spike per step is the rate :math:`1 / (r_{max}\, dt)`.
How numbers are written is a choice: in the form that other programs compute rightly (`PORTABLE`, the
default), or as they are here (`EXACT`), where weights stand in a ``Linear``, the scale of rates in ``w_in``
(for LIF in ``r``), and exponential Euler is exact:

.. math:: I \leftarrow I + (1 - e^{-dt/\tau_{syn}})\, w_{in}\, w, \qquad w_{in} = \frac{1}{r_{max}\, dt}

NIR has no field for the step, the refractory time, the nominal values, the chip or the exact
milliseconds (its own times are seconds): they stand in the metadata, and `NIRFile` takes them from there.
Graphs of other programs have none of this; `spiking.nir.graphs` reads them.

Source: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9.
"""

from spiking.nir.files import NIRFile, read
from spiking.nir.foreign import Reading
from spiking.nir.forms import EXACT, FORMS, PORTABLE, Form
from spiking.nir.readers import READERS, lost
from spiking.nir.replay import replay
from spiking.nir.stored import KEY, Stored
from spiking.nir.writing import encode, write

__all__ = [
    "EXACT",
    "FORMS",
    "KEY",
    "PORTABLE",
    "READERS",
    "Form",
    "NIRFile",
    "Reading",
    "Stored",
    "encode",
    "lost",
    "read",
    "replay",
    "write",
]
