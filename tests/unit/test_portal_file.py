"""A portal.yaml as people type it: what is read, and what is told about the rest."""

from pathlib import Path

import pytest

from cli.configuration.file import LARGEST_BYTES, Loaded, dotted, load, read_document
from shared.errors import InvalidRequest

INVOICES, CANCEL, PRODUCTS = (
    "features.invoice_history",
    "features.subscription_cancel",
    "features.subscription_update.products",
)
LAUGHS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def products(prices: str) -> str:
    return f"features: {{subscription_update: {{enabled: true, products: [{{product: p, prices: {prices}}}]}}}}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "portal.yaml"


def read(file: Path, text: str | bytes) -> Loaded:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file)


def told(loaded: Loaded) -> list[tuple[int, str, str]]:
    return [(each.line, each.code, dotted(each.path)) for each in loaded.problems]


@pytest.mark.parametrize(
    ("text", "line", "code", "word"),
    [
        ("", 1, "no_configurations", "empty"),
        ("# nothing\n", 1, "no_configurations", "empty"),
        ("- a\n", 1, "no_configurations", "not a mapping"),
        ("configurations:\n\ta: {}\n", 2, "not_yaml", "spaces, never with tabs"),
        ("configurations: {a: [}\n", 1, "not_yaml", "not YAML"),
        ("a: 1\n---\nb: 1\n", 2, "not_yaml", "another document"),
        (b"a: \0", 1, "not_yaml", "special characters"),
        ("a: {}\nb: 1\na: {}\n", 3, "key_twice", "first in line 1"),
        ("a: *nobody\n", 1, "not_yaml", "undefined alias"),
        ("a: &a [*a]\n", 1, "too_much", "anchors"),
        ("[" * 3000, 1, "too_much", "nested"),
        (LAUGHS, 1, "too_much", "50,000"),
        ('a: !!python/object/apply:os.system ["echo"]\n', 1, "bad_value", "not plain YAML"),
        ("a: !Ref b\n", 1, "bad_value", "!Ref is not plain YAML"),
        ("a: !!binary aGk=\n", 1, "bad_value", "not plain YAML"),
        (f"a: {'9' * 5000}\n", 1, "bad_value", "cannot be read as int"),
        ("? [a]\n: 1\n", 1, "bad_key", "Write a word"),
        ("x-a: &a {b: 1}\nc: {<<: [*a, 3]}\n", 2, "bad_merge", "*name"),
    ],
)
def test_what_is_no_plain_yaml_is_told_with_its_line(
    file: Path, text: str | bytes, line: int, code: str, word: str
) -> None:
    (problem,) = read(file, text).problems
    assert (problem.line, problem.code) == (line, code)
    assert word in f"{problem.message} {problem.fix}"


@pytest.mark.parametrize(
    ("text", "code"),
    [(b"a: \xe9", "unreadable_file"), (b"#" * (LARGEST_BYTES + 1), "file_too_large"), (None, "unreadable_file")],
)
def test_a_file_that_cannot_be_read_is_an_error_with_a_fix(file: Path, text: bytes | None, code: str) -> None:
    if text is None:
        file.mkdir()
    else:
        file.write_bytes(text)
    with pytest.raises(InvalidRequest) as caught:
        read_document(file)
    assert caught.value.code == code
    assert str(file) in caught.value.message


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"Cannot read .*portal.yaml: No such file"):
        load(file)


@pytest.mark.parametrize(
    ("body", "code", "path", "fix"),
    [
        ("headlin: x", "unknown_key", "headlin", "Known: default, active"),
        ("default_return_uri: https://a.example", "unknown_key", "default_return_uri", "'default_return_url'"),
        ("features: {subscription_pauze: {}}", "unknown_key", "features.subscription_pauze", "'subscription_pause'"),
        (
            "features: {invoice_history: {enabled: true, enable: true}}",
            "unknown_key",
            f"{INVOICES}.enable",
            "'enabled'",
        ),
        ("features: {invoice_history: {}}", "missing_key", f"{INVOICES}.enabled", "`enabled:`"),
        ("features: {invoice_history: {enabled: 'true'}}", "wrong_type", f"{INVOICES}.enabled", "without quotes"),
        ("features: {invoice_history: {enabled: 1}}", "wrong_type", f"{INVOICES}.enabled", "true or false"),
        ("features: {invoice_history: }", "wrong_type", INVOICES, "take the line out"),
        ("features: [1]", "wrong_type", "features", "key: value"),
        ("groups: team", "wrong_type", "groups", "a dash"),
        ("groups: ['a\"b']", "bad_form", "groups[0]", "no quotation marks"),
        (r"groups: ['a\b']", "bad_form", "groups[0]", "no backslashes"),
        ("groups: [on]", "wrong_type", "groups[0]", "in quotes"),
        ("metadata: {a: 1}", "wrong_type", "metadata.a", "in quotes"),
        ("metadata: {'a[b]': x}", "bad_form", "metadata.a[b]", "square brackets"),
        ("metadata: {portal_yaml: x}", "reserved_key", "", "Take it out"),
        ("id: 'cus_1'", "bad_form", "id", "bpc_123"),
        ("features: {subscription_cancel: {enabled: true, mode: now}}", "unknown_word", f"{CANCEL}.mode", "period_end"),
        (products("[]"), "empty_list", f"{PRODUCTS}[0].prices", "take the product out"),
        (products("[{price: a, currency: EUR}]"), "bad_form", f"{PRODUCTS}[0].prices[0].currency", "small letters"),
        (products("[{price: a b}]"), "bad_form", f"{PRODUCTS}[0].prices[0].price", "no spaces"),
    ],
)
def test_what_the_model_refuses_is_told_with_its_path_and_a_suggestion(
    file: Path, body: str, code: str, path: str, fix: str
) -> None:
    loaded = read(file, f"configurations:\n  team:\n    active: true\n    {body}\n")
    assert loaded.portal is None
    (problem,) = loaded.problems
    assert (problem.code, problem.entry) == (code, "team")
    assert dotted(problem.path) == "configurations.team" + (f".{path}" if path else "")
    assert fix in problem.fix
    assert problem.line == (4 if path else 2)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "//a.example",
        "https://",
        r"https:\\a.example",
        "https://a b",
        "https://[::1",
        "a.example",
    ],
)
def test_an_address_has_to_be_one(file: Path, url: str) -> None:
    loaded = read(file, f"configurations: {{a: {{default_return_url: '{url}'}}}}")
    assert told(loaded) == [(1, "bad_url", "configurations.a.default_return_url")]


@pytest.mark.parametrize("name", ["a b", "a/b", "-a", "a" * 41, "é", "''"])
def test_a_name_has_to_be_a_word_that_fits_a_mark(file: Path, name: str) -> None:
    (problem,) = read(file, f"configurations: {{{name}: {{}}}}").problems
    assert problem.code == "bad_form"
    assert "letters, digits" in problem.fix


@pytest.mark.parametrize(
    "version", ["2026-10-28", "2024-09-30", "2024-10-01", "2025-01-27", "endive", "2026-10.endive"]
)
def test_a_version_without_its_name_is_none_of_stripes(file: Path, version: str) -> None:
    (problem,) = read(file, f"api_version: '{version}'\nconfigurations: {{a: {{}}}}").problems
    assert problem.code == "bad_form"
    assert "2026-10-28.endive" in problem.fix


@pytest.mark.parametrize(
    "version", ["2019-12-03", "2023-10-16", "2024-06-20", "2024-09-30.acacia", "2026-10-28.endive"]
)
def test_stripes_versions_are_taken(file: Path, version: str) -> None:
    assert read(file, f"api_version: {version}\nconfigurations: {{a: {{}}}}").problems == ()


def test_every_problem_is_told_at_once_in_the_order_of_the_file(file: Path) -> None:
    loaded = read(file, "configurations:\n  a:\n    activ: true\n  b:\n    groups: 1\n  c:\n    id: x\n")
    assert [line for line, _, _ in told(loaded)] == [3, 5, 7]


def test_anchors_and_merges_are_read_and_days_and_windows_files_are_text(file: Path) -> None:
    text = "\ufeffapi_version: 2026-10-28.endive\r\nx-on: &on {enabled: true}\r\n"
    text += (
        "configurations:\r\n  a:\r\n    features:\r\n"
        "      invoice_history: *on\r\n      customer_update: {<<: *on, enabled: false, allowed_updates: [email]}\r\n"
    )
    portal = read(file, text).portal
    assert portal
    assert portal.api_version == "2026-10-28.endive"
    features = portal.configurations["a"].features
    assert features.invoice_history.enabled
    assert not features.customer_update.enabled
    assert features.customer_update.allowed_updates == ("email",)


def test_a_fault_in_an_anchor_is_told_where_it_is_written(file: Path) -> None:
    text = "x-on: &on\n  enabled: 3\nconfigurations:\n  a:\n    features:\n      invoice_history: {<<: *on}\n"
    assert told(read(file, text)) == [(2, "wrong_type", "configurations.a.features.invoice_history.enabled")]
