"""What a run is configured with: the options of the command line, a YAML file, the environment, and prices.

environment.py  the endpoint that the environment describes, by the variables that users know
options.py      what the main job can be told
pricing.py      prices
secrets.py      keys and tokens, and one filter for all of them
settings.py     where the settings come from
"""
