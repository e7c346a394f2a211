"""Configuration of a run: command-line options, a YAML file, the environment, prices and secrets.

endpoint_settings.py the settings of an endpoint, and the kinds of endpoints with their SDK clients
environment.py       the endpoint from environment variables
model_table.py       what is known of models: parameters, limits, caches, prices, the end of their service
models.yaml          the table that ships with Syphus, which model_table.py reads
option_types.py      the options of commands as they are written in Python
options.py           the options of the commands, each declared once
pricing.py           the price of a model, and the cost of a run
sampling.py          the fields of a request, as far as the model takes them
secrets.py           redacts keys and tokens in everything that is shown or stored
settings.py          the settings from a YAML file or the environment, validated
values.py            the kinds of values in a config: secrets, headers, addresses as they are copied
"""
