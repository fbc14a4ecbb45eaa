"""Ready experiments and studies, shipped with the package."""
