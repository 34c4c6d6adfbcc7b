"""What is personal: where it lies, how somebody is given all of it, and how nothing of it is left."""
