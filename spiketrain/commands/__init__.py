"""The commands beside training, one file each; `spiketrain.cli` mounts them."""
