"""Everything that can stop a command, by name.

    SyphusError
    ├── UsageError            exit 2   nothing was sent
    │   ├── ConfigError                the endpoint, an option or the YAML config
    │   │   └── NoEndpointError        nothing says where to ask
    │   ├── InputError                 the annotations
    │   │   └── ImageError             an image that goes out with a query
    │   ├── PromptError                a prompt file
    │   ├── PluginError                a dataset plugin
    │   └── RunError                   the run's folder: locked, unwritable, other settings, newer format
    ├── UnsatisfactoryError        exit 1   no satisfactory in-context examples were found
    ├── ProviderError         exit 3   the endpoint will not answer anybody: key, quota, deployment, outage
    ├── BudgetError           exit 4   the budget is spent
    ├── StorageError          exit 5   the disk: full, broken, gone
    │   └── OutputError                stdout, when the work itself is done
    └── InterruptError        exit 130 Ctrl-C, or another signal to stop

The text of each is one line for a person: what is wrong, where, and what to do. An outcome of a single row is no
exception: it is an `Outcome`. Exit 0 means all done, 1 finished with rows that are not ok.
"""

from typing import Literal


class SyphusError(Exception):
    """The root. `exit_code` is what the process ends with."""

    exit_code = 1


class UsageError(SyphusError):
    """Something has to be put right before anything can be sent."""

    exit_code = 2


class ConfigError(UsageError):
    """The endpoint, an option or the YAML config is wrong."""


class NoEndpointError(ConfigError):
    """Neither the environment nor a config says whom to ask: there is no endpoint, or no model."""


class InputError(UsageError):
    """The annotations can't be read; the message names the file and the record.

    `record` is the file and the number of the one record that is at fault; None where it is more than a record.
    """

    def __init__(self, told: str, record: tuple[str, int] | None = None) -> None:
        super().__init__(told)
        self.record = record


class ImageError(InputError):
    """An image can't be sent: `why` in a few words that can be counted. Of a query, it is that row's outcome."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.why = why.partition(":")[0]


class PromptError(UsageError):
    """A prompt file can't be read or used."""


class PluginError(UsageError):
    """A dataset plugin is missing, broken, or does not keep its contract."""


class RunError(UsageError):
    """The run's folder can't be used as it is."""


class UnsatisfactoryError(SyphusError):
    """What came back is not good enough to go on with; more of the same would be paid for in vain."""


class ProviderError(SyphusError):
    """No row can succeed at this endpoint now. Rows without an outcome stay pending."""

    exit_code = 3


class BudgetError(SyphusError):
    """The next request might exceed the budget. `limit` names the budget: "requests" or "cost"."""

    exit_code = 4

    def __init__(self, message: str, limit: Literal["requests", "cost"]) -> None:
        super().__init__(message)
        self.limit = limit


class StorageError(SyphusError):
    """The ledger can't be written. Nothing after the last commit counts as done."""

    exit_code = 5


class OutputError(StorageError):
    """stdout is a file that can't take the results."""


class InterruptError(SyphusError):
    """Somebody asked the run to stop; `at_once` if it was said twice."""

    exit_code = 130
    at_once = False
