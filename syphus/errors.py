"""Everything that can stop a command.

    SyphusError
    ├── UsageError            exit 2   something must be fixed before anything is sent
    │   ├── ConfigError                the endpoint, an option or the YAML config
    │   │   └── NoEndpointError        no endpoint or no model is configured
    │   ├── InputError                 the annotations
    │   │   └── ImageError             an image that is sent with a query
    │   ├── PromptError                a prompt file
    │   ├── PluginError                a dataset plugin
    │   └── RunError                   the run's folder: locked, unwritable, other settings, newer format
    ├── UnsatisfactoryError   exit 1   no satisfactory in-context examples were found
    ├── ProviderError         exit 3   the endpoint refuses all requests: key, quota, deployment, outage
    ├── BudgetError           exit 4   the budget is spent
    ├── StorageError          exit 5   the disk: full, broken, gone
    │   └── OutputError                stdout can't take the results, although the work is done
    └── InterruptError        exit 130 Ctrl-C, or another signal to stop

Each message is one line for a person: what is wrong, where, and what to do. The failure of a single row is not an
error but an `Outcome`. Exit code 0 means that all is done, 1 that some rows did not end as ok.
"""

from typing import Literal


class SyphusError(Exception):
    """The base class. `exit_code` is the exit code of the process."""

    exit_code = 1


class UsageError(SyphusError):
    """Something must be fixed before anything can be sent."""

    exit_code = 2


class ConfigError(UsageError):
    """The endpoint, an option or the YAML config is wrong."""


class NoEndpointError(ConfigError):
    """Neither the environment nor a config file names an endpoint, or none names a model."""


class InputError(UsageError):
    """The annotations can't be read; the message names the file and the record.

    `record` is the file and number of the record at fault, or None if the fault is not in a single record.
    """

    def __init__(self, message: str, record: tuple[str, int] | None = None) -> None:
        super().__init__(message)
        self.record = record


class ImageError(InputError):
    """An image can't be sent. For an image of a query this becomes the outcome of its row.

    `problem` is the message without the image's name; `reason` is the problem without its details, so that equal
    reasons can be counted.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.problem = problem
        self.reason = problem.partition(":")[0]


class PromptError(UsageError):
    """A prompt file can't be read or used."""


class PluginError(UsageError):
    """A dataset plugin is missing, broken, or breaks its contract."""


class RunError(UsageError):
    """The run's folder can't be used as it is."""


class UnsatisfactoryError(SyphusError):
    """The answers so far are not good enough to continue; more of them would be a waste of money."""


class ProviderError(SyphusError):
    """No row can succeed at this endpoint at present. Rows without an outcome stay pending."""

    exit_code = 3


class BudgetError(SyphusError):
    """The next request might exceed the budget. `limit` names the one that is spent.

    It is "price" if the cost of the next request can't be bounded.
    """

    exit_code = 4

    def __init__(self, message: str, limit: Literal["requests", "cost", "price"]) -> None:
        super().__init__(message)
        self.limit = limit


class StorageError(SyphusError):
    """The ledger can't be written. Nothing after the last commit counts as done."""

    exit_code = 5


class OutputError(StorageError):
    """stdout is a file that can't be written."""


class InterruptError(SyphusError):
    """The run was asked to stop. `immediate` is set after a second signal."""

    exit_code = 130
    immediate = False
