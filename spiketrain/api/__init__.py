"""The front door's rooms: what ``import spiketrain`` offers, each loaded when it is first used."""
