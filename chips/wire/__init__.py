"""The wire: frames of JSON and raw arrays between a process that trains and one that has the chips."""
