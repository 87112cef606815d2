"""Which files are read, how each language writes comments, and how it would write today's pause."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

# What is never closed goes on to the end, so that no file takes long.
_STRINGS = (
    r"\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*(?:`|\Z)"
)
_SLASHES = r"//[^\n]*|/\*.*?(?:\*/|\Z)"
_DOCSTRING = r"(?:\A|(?<=:\n))[ \t]*(?:\"\"\".*?\"\"\"|'''.*?''')"
_HASH = r"#[^\n]*"
_HASH_AFTER_SPACE = r"(?:^|(?<=\s))#[^\n]*"
_FORM = "features[subscription_pause][duration][type]=indefinite beside it"


@dataclass(frozen=True, slots=True)
class Language:
    """`comments` is a regular expression; `today` is the new form, one month long."""

    name: str
    comments: str | None
    today: str

    def without_comments(self, text: str) -> str:
        """Blank the comments, each character by a space: places stay what they are."""
        if self.comments is None:
            return text
        parts = re.compile(f"(?P<comment>{self.comments})|(?P<string>{_STRINGS})", re.DOTALL | re.MULTILINE)
        return parts.sub(lambda found: found[0] if found["string"] else re.sub(r"[^\n]", " ", found[0]), text)


_JSON_TODAY = (
    '"subscription_pause": {"enabled": true, "duration": {"type": "interval_options", "interval_options": '
    '[{"interval": "month"}]}}'
)
_PYTHON = Language("Python", f"{_HASH}|{_DOCSTRING}", _JSON_TODAY.replace("true", "True"))
_JAVASCRIPT = Language(
    "JavaScript",
    _SLASHES,
    "subscription_pause: {enabled: true, duration: {type: 'interval_options', interval_options: [{interval: 'month'}]}"
    "}",
)
_RUBY = Language("Ruby", _HASH, _JAVASCRIPT.today)
_PHP = Language(
    "PHP",
    f"{_SLASHES}|{_HASH_AFTER_SPACE}",
    "'subscription_pause' => ['enabled' => true, 'duration' => ['type' => 'interval_options', 'interval_options' => "
    "[['interval' => 'month']]]]",
)
_GO = Language(
    "Go",
    _SLASHES,
    "Duration: &stripe.BillingPortalConfigurationFeaturesSubscriptionPauseDurationParams{Type: "
    'stripe.String("indefinite")} beside Enabled',
)
_JAVA = Language(
    "Java",
    _SLASHES,
    ".setDuration(SubscriptionPause.Duration.builder().setType(SubscriptionPause.Duration.Type.INDEFINITE).build()) "
    "beside .setEnabled(true)",
)
_CSHARP = Language(
    "C#",
    _SLASHES,
    'Duration = new ConfigurationFeaturesSubscriptionPauseDurationOptions { Type = "indefinite" } beside Enabled',
)
_TERRAFORM = Language(
    "Terraform",
    f"{_SLASHES}|{_HASH}",
    'duration { type = "indefinite" } beside enabled, once your provider knows API 2026-10-28.endive',
)
_JSON = Language("JSON", None, _JSON_TODAY)
_YAML = Language("YAML", _HASH_AFTER_SPACE, "duration: {type: interval_options, interval_options: [{interval: month}]}")
_SHELL = Language("shell", _HASH_AFTER_SPACE, _FORM)
_ELIXIR = Language("Elixir", _HASH, 'subscription_pause: %{enabled: true, duration: %{type: "indefinite"}}')

_BY_SUFFIX: Mapping[str, Language] = {
    **dict.fromkeys((".py", ".pyi"), _PYTHON),
    **dict.fromkeys(
        (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte", ".astro"), _JAVASCRIPT
    ),
    **dict.fromkeys((".rb", ".rake", ".erb", ".gemspec"), _RUBY),
    **dict.fromkeys((".php", ".phtml"), _PHP),
    ".go": _GO,
    **dict.fromkeys((".java", ".kt", ".kts", ".scala", ".groovy"), _JAVA),
    ".cs": _CSHARP,
    **dict.fromkeys((".tf", ".tfvars", ".hcl"), _TERRAFORM),
    **dict.fromkeys((".json", ".jsonc", ".json5", ".ipynb", ".har"), _JSON),
    **dict.fromkeys((".yaml", ".yml"), _YAML),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".cmd", ".http", ".rest", ".mk"), _SHELL),
    **dict.fromkeys((".ex", ".exs"), _ELIXIR),
}
_BY_NAME = {"Makefile": _SHELL, "Dockerfile": _SHELL, "Rakefile": _RUBY, "Gemfile": _RUBY, "justfile": _SHELL}


def language_of(path: PurePath, beginning: str) -> Language | None:
    """Answer a file's language by its name, or by a first line such as `#!/bin/sh`."""
    found = _BY_SUFFIX.get(path.suffix.lower()) or _BY_NAME.get(path.name)
    if found or path.suffix or not beginning.startswith("#!"):
        return found
    first = beginning.partition("\n")[0]
    for word, language in (("python", _PYTHON), ("node", _JAVASCRIPT), ("ruby", _RUBY), ("php", _PHP), ("sh", _SHELL)):
        if word in first:
            return language
    return None
