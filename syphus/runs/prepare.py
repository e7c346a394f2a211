"""Prepare a run: find and check its plugin, prompt and endpoint before a request is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from syphus.answers.parsing import JsonForm
from syphus.config.model_table import ModelTable
from syphus.config.options import AUTO, NEVER, Options
from syphus.config.pricing import FREE, Price, load_prices
from syphus.config.sampling import as_begun
from syphus.config.secrets import SecretRedactor
from syphus.config.settings import Config
from syphus.declarations import Frame, Relation, Still, Video
from syphus.endpoints.image_tokens import ImageRules
from syphus.endpoints.structured import RESPONSE_FORMAT
from syphus.errors import ConfigError, InputError, NoEndpointError, PluginError, SyphusError
from syphus.images.prompt.attachments import IMAGES_FOLDER, ImageAttachments, inspect_example_images
from syphus.io.text_files import missing
from syphus.ledger.sessions import last_settings, newest_chat_settings
from syphus.ledger.store import FILE as LEDGER
from syphus.ledger.store import Store, open_for_reading
from syphus.pipeline.observer import Observer
from syphus.plugins.contract import (
    AbstractDataset,
    apply_short_name,
    load_prompt_template,
    shipped_folder,
    structured_form,
)
from syphus.plugins.discovery import LoadedPlugin, find_plugin
from syphus.plugins.hook_results import image_sources
from syphus.plugins.input_sources import local_source
from syphus.plugins.legacy import ORIGINAL_MESSAGES, LegacyDataset, original_messages
from syphus.plugins.prompts import JSON_FORM, PromptTemplate, as_json_prompt
from syphus.runs.model_life import only_model
from syphus.runs.run_config import config_of_own_pairs, run_config, with_unused_keys
from syphus.runs.run_settings import CALIBRATE_JUDGE, GENERATE, JUDGE_PAIRS, STRUCTURED, run_settings
from syphus.storage.addresses import as_url
from syphus.storage.local_copies import look_again

C = TypeVar("C", bound="RunContext")

_FILE_NAME = re.compile(r"(?!\.)[\w.-]{1,100}")


class RunContext:
    """What every session needs: an endpoint and the user's options."""

    __slots__ = ()

    options: Options
    config: Config
    endpoint_error: NoEndpointError | None  #: why there is no endpoint, for a run that may not need one

    def with_config(self, config: Config) -> Self:
        """Return the same with another config."""
        raise NotImplementedError

    def require_endpoint(self) -> None:
        """Raise `NoEndpointError` if there is no endpoint."""
        if self.endpoint_error is not None:
            raise self.endpoint_error

    @property
    def image_rules(self) -> ImageRules:
        """How images are sent to the model."""
        config = self.config
        counting = ModelTable(config.models).image_counting(config.model) if config.models else None
        return ImageRules(config.model, config.image_size, config.image_detail, config.image_tokens, counting)

    def attachments(self, folder: Path | None = None) -> ImageAttachments:
        """Return the images of the run in `folder`; without a folder, those of a preview. Close them."""
        return ImageAttachments(self.image_rules, None, folder / IMAGES_FOLDER if folder else None)

    @property
    def redactor(self) -> SecretRedactor:
        """Blanks the secrets of the config wherever they turn up."""
        return SecretRedactor(secret for endpoint in self.config.endpoints for secret in endpoint.secrets)

    @property
    def price(self) -> Price | None:
        """The price of the model if it is known; simulated answers are free."""
        return FREE if self.options.offline else load_prices(self.config.prices).find(self.config.model)

    @property
    def endpoint(self) -> str:
        """Where the answers come from, as text for people."""
        if self.options.offline:
            return "the simulated endpoint (made-up text, not a model)"
        if self.endpoint_error is not None:
            return "no endpoint: the pairs are in the annotations"
        return ", ".join(endpoint.host for endpoint in self.config.endpoints)


@dataclass(frozen=True, slots=True)
class PreparedRun(RunContext):
    """A run that is ready to open its ledger."""

    options: Options
    plugin: LoadedPlugin
    dataset: AbstractDataset
    template: PromptTemplate
    config: Config
    endpoint_error: NoEndpointError | None = None
    form: JsonForm | None = None  #: of the answers, if they are asked for as JSON

    def with_config(self, config: Config) -> Self:
        """Return the same with another config. Its model may see the images of the examples in another size."""
        changed = replace(self, config=config)
        return replace(changed, template=inspect_example_images(self.template, changed.image_rules))

    @property
    def relation(self) -> Relation | None:
        """The relation of the pairs, if it is another one than the plugin's `related` gives."""
        default = Relation(self.dataset.relation) if self.dataset.relation else None
        return self.options.relate or (default if default is not None and default.is_nearest else None)

    @property
    def settings(self) -> dict[str, object]:
        """What the answers depend on."""
        options = self.options
        settings = run_settings(options.name, self.config, self.template, options.offline, options.with_images)
        if isinstance(self.dataset, LegacyDataset) and self.dataset.sends_original:
            settings[ORIGINAL_MESSAGES] = True
        packed = {"pack": options.pack} if options.pack else {}
        return {**settings, **({STRUCTURED: JSON_FORM} if self.form else {}), **packed}

    @property
    def may_search(self) -> bool:
        """Whether a cold start may come first."""
        mode = self.options.cold_start
        return mode != NEVER and not (mode == AUTO and self.template.in_context)

    def attachments(self, folder: Path | None = None) -> ImageAttachments:
        """Return the images of the run in `folder`; without a folder, those of a preview. Close them."""
        copies = folder / IMAGES_FOLDER if folder else None
        lists_images = type(self.dataset)._load_images is not AbstractDataset._load_images
        sources = self._image_sources if lists_images else None
        return ImageAttachments(self.image_rules, self.options.images, copies, sources)

    def _image_sources(self, folder: Path) -> Iterator[Still | Frame | Video]:
        return image_sources(self.dataset, str(folder.absolute()))


@dataclass(frozen=True, slots=True)
class EndpointContext(RunContext):
    """An endpoint without a dataset plugin, for the translation of a file."""

    options: Options
    config: Config
    endpoint_error: NoEndpointError | None = None

    def with_config(self, config: Config) -> Self:
        """Return the same with another config."""
        return replace(self, config=config)


def prepare(
    options: Options, environ: Mapping[str, str], needs_endpoint: bool = True, *, ask_server: bool = True
) -> PreparedRun:
    """Find and check plugin, prompt and endpoint. Raises `UsageError`.

    Without `needs_endpoint`, nothing will be sent, so a key that is missing is no error. With `ask_server`, a server
    may be asked which model it has.
    """
    look_again()
    _check_names(options)
    _check_images(options)
    plugin = _find_plugin(options)
    options = replace(
        options,
        name=plugin.name,
        query_inputs_path=_input_path(options, plugin),
        num_threads=max(1, options.num_threads),  # 0 means one, as in the first Syphus
    )
    dataset = _dataset(plugin, options)
    template = load_prompt_template(dataset, options.prompt_path)
    if not needs_endpoint:
        environ = with_unused_keys(options.config, environ)
    find_model = only_model if needs_endpoint and ask_server else None
    endpoint_error = None
    try:
        config = run_config(options, environ, find_model)
    except NoEndpointError as error:
        if not plugin.cls.brings_pairs:
            raise
        config, endpoint_error = config_of_own_pairs(options, environ), error
    prepared = PreparedRun(options, plugin, dataset, template, config, endpoint_error)
    prepared = replace(
        prepared,
        options=replace(options, max_images=prepared.config.max_images),
        template=inspect_example_images(template, prepared.image_rules),
        form=_json_form(prepared),
    )
    check_budget(prepared)
    return prepared


def _find_plugin(options: Options) -> LoadedPlugin:
    plugin = find_plugin(options.name, options.datasets_dir)
    if not _FILE_NAME.fullmatch(plugin.cls.short_name):
        raise PluginError(
            f"{plugin.name}: short_name {plugin.cls.short_name!r}: file names begin with it; use letters, digits, - _"
        )
    return plugin


def _dataset(plugin: LoadedPlugin, options: Options) -> AbstractDataset:
    """Return the dataset of a plugin. Raises `PluginError`."""
    with original_messages(not (issubclass(plugin.cls, LegacyDataset) and _began_otherwise(options.folder))):
        dataset = plugin.create(options.prompt_path, local_source(options.query_inputs_path))
    if dataset.relation not in ("", *Relation):
        raise PluginError(f"{plugin.name}: relation {dataset.relation!r}: it must be one of {', '.join(Relation)}")
    apply_short_name(dataset, options.relate or dataset.relation)
    return dataset


def _began_otherwise(folder: Path) -> bool:
    """Return whether the run in a folder, if there is one, began with other messages than those of the first Syphus."""
    if not (folder / LEDGER).is_file():
        return False
    with suppress(SyphusError):  # opening it reports a ledger that can't be read
        store = open_for_reading(folder)
        try:
            before = last_settings(store, GENERATE)
        finally:
            store.close()
        return before is not None and ORIGINAL_MESSAGES not in before
    return False


def _json_form(prepared: PreparedRun) -> JsonForm | None:
    """Return the form of the answers if they are asked for as JSON.

    Raises `PluginError` for a plugin without a usable form, `PromptError` for examples that can't be shown in it.
    """
    config, template = prepared.config, prepared.template
    wanted = config.structured == "always" or (config.structured == "auto" and template.form == JSON_FORM)
    form = structured_form(prepared.dataset, wanted)
    if form is not None:
        if RESPONSE_FORMAT in config.extra_body:
            raise ConfigError(f"extra_body has {RESPONSE_FORMAT}, which --structured sets; leave one of them out")
        as_json_prompt(template, form, prepared.options.prompt_path or prepared.dataset.prompt)
    return form


def prepare_endpoint(
    options: Options, environ: Mapping[str, str], find_model: Callable[[Config], str] = only_model
) -> EndpointContext:
    """Find and check the endpoint, without a dataset plugin. Without a model, `find_model` is asked for it.

    Raises `UsageError`.
    """
    config = run_config(options, environ, find_model)
    context = EndpointContext(replace(options, num_threads=max(1, options.num_threads)), config)
    check_budget(context)
    return context


def prepare_judge(author: PreparedRun, environ: Mapping[str, str]) -> PreparedRun:
    """Return the run with the model and the endpoint that judge its pairs. Raises `UsageError`."""
    options = author.options
    if options.judge_model is None and options.judge_config is None:
        return author
    own = replace(
        options,
        config=options.judge_config or options.config,
        model=options.judge_model or (None if options.judge_config else options.model),
    )
    judge = author.with_config(run_config(own, environ))
    check_budget(judge)
    return judge


def go_on_as_begun(context: C, store: Store, stage: str, observer: Observer) -> C:
    """Return the context of a run that may have begun: with its own model and effort where the user leaves them open.

    `stage` is what the command asks about. Raises `ConfigError` if the budget can't be kept with that model.
    """
    before = last_settings(store, stage) or newest_chat_settings(store, without=(JUDGE_PAIRS, CALIBRATE_JUDGE))
    if before is None or context.options.offline:
        return context
    config = as_begun(context.config, before)
    if config.model != context.config.model:
        new = context.config.model
        observer.say(f"No model is named: this run keeps {config.model}, with which it began (new runs take {new}).")
    changed = context.with_config(config)
    check_budget(changed)
    return changed


def check_budget(context: RunContext) -> None:
    """Raise `ConfigError` if a budget in dollars can't be kept."""
    if context.options.max_cost is not None and (problem := budget_problem(context)):
        raise ConfigError(problem)


def budget_problem(context: RunContext) -> str:
    """Return why a budget in dollars can't be kept, or ""."""
    if context.price is None:
        return (
            f"--max-cost needs the price of {context.config.model}, which is not known. "
            "Add it under `prices:` in a --config file, or use --max-requests."
        )
    if context.config.max_tokens is None:
        return "--max-cost needs a bound on what one answer can cost: set max_tokens."
    return ""


def _check_names(options: Options) -> None:
    if not options.name:
        raise ConfigError("Which dataset? Add --name; the command `datasets` lists them.")
    if not _FILE_NAME.fullmatch(options.dataset_version):
        raise ConfigError(
            f"--dataset_version {options.dataset_version!r}: it names a folder; use letters, digits, - _ ."
        )


def _check_images(options: Options) -> None:
    if options.images is not None and not (as_url(options.images) or options.images.exists()):
        raise ConfigError(f"--images {missing(options.images)}.")
    if options.with_images and options.images is None:
        raise ConfigError("--with-images needs --images PATH: an image store, or a folder of image files.")


def _input_path(options: Options, plugin: LoadedPlugin) -> str:
    if not options.example:
        return options.query_inputs_path
    if options.query_inputs_path:
        raise ConfigError("--example and --query_inputs_path both name an input; use one of them.")
    if not plugin.cls.example:
        raise InputError(f"{plugin.name} ships no example input.")
    beside = plugin.path.parent.parent / "examples" / plugin.cls.example
    return str(beside if beside.exists() else shipped_folder("examples") / plugin.cls.example)
