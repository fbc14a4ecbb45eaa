"""What a chip really is, as opposed to what its designer wrote down."""
