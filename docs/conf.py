"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "tinynet"
author = "The tinynet authors"
project_copyright = author
version = release = installed_version("tinynet")

extensions = [
    "myst_nb",
    "api_reference",
    "as_typed",
    "docstrings",
    "house_plan",
    "op_reference",
    "proof_map",
    "site_check",
    "source_rows",
    "word_list",
]
myst_enable_extensions = ["amsmath", "dollarmath"]
# Every cell of every page and chapter runs, and an error in one ends the build, as does a cell over
# its time; a chapter over its own is a warning. On a slow machine: `-D chapter_seconds=600`.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 90  # seconds, for each cell
chapter_seconds = 120
nb_merge_streams = True
nb_output_stderr = "remove"  # that kernels are being compiled, on a fresh machine
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
# The reference: signatures without types, which editors show, and without the module's name.
add_module_names = False
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
exclude_patterns = ["_ext", "conf.py"]

html_theme = "furo"
html_title = f"tinynet {version}"
html_static_path = ["_static"]
html_css_files = ["book.css"]

# The chapters are pages, too; Sphinx reads only what lies below its own folder.
PAGES = HERE / "chapters"
shutil.rmtree(PAGES, ignore_errors=True)
PAGES.mkdir()
for script in sorted((HERE.parent / "chapters").glob("[0-9][0-9]_*.py")):
    shutil.copy(script, PAGES)

# Formulas without a network: MathJax is fetched once, checked, and copied beside the pages. It is
# version 3, because version 4 loads its fonts from elsewhere. Where that fails the pages load it
# from the address that Sphinx has built in.
MATHJAX = "mathjax-3.2.2.tgz"
MATHJAX_SHA256 = "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09"


def unpack_mathjax(static: Path) -> None:
    """Put MathJax's program and fonts under ``static/mathjax``, unless they lie there already."""
    target = static / "mathjax"
    if target.is_dir():
        return
    static.mkdir(parents=True, exist_ok=True)
    package = MATHJAX.removesuffix(".tgz").replace("-", "@")
    command = ["npm", "pack", package, "--silent", "--fetch-retries=0"]
    subprocess.run(command, cwd=static.parent, check=True, timeout=120, capture_output=True)
    archive = static.parent / MATHJAX
    if hashlib.sha256(archive.read_bytes()).hexdigest() != MATHJAX_SHA256:
        raise OSError(f"{MATHJAX} is not the expected file")
    partial = static.parent / "mathjax.partial"
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            name = member.name.removeprefix("package/es5/")
            if name == "tex-mml-chtml.js" or name.startswith("output/chtml/fonts/woff-v2/"):
                path = partial / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as content:
                    path.write_bytes(content.read())
    archive.unlink()
    partial.rename(target)


try:
    unpack_mathjax(HERE.parent / "build" / "mathjax" / "static")
except (OSError, subprocess.SubprocessError) as error:
    print(f"Formulas will need a network when the pages are read: no local MathJax ({error}).")
else:
    html_static_path += ["../build/mathjax/static"]
    mathjax_path = "mathjax/tex-mml-chtml.js"
