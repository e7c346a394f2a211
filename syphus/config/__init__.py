"""What a run is configured with: the options of the command line, a YAML file, the environment, and prices."""
