"""The drill: a load of registrations under injected faults, counted by witnesses outside of the programs."""
