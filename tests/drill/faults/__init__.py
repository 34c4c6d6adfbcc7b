"""The faults that a drill can inject, a file for each thing that is made to fail."""
