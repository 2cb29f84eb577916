"""Follow every link of a rendered site that leads into it: `check_links.py build/docs`.

What the pages load is followed too, and fragments have to be there. Links that lead out are not looked at.
"""

import pathlib
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """The targets of a page's links and the names that a fragment can mean."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name in ("href", "src"):
                self.targets.append(value)


def main(site: pathlib.Path) -> int:
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    links, broken = 0, []
    for path, page in pages.items():
        for target in page.targets:
            if urlsplit(target).scheme or target.startswith("//"):
                continue
            links += 1
            file, fragment = urldefrag(target)
            to = (path.parent / unquote(urlsplit(file).path)).resolve() if file else path
            to = to / "index.html" if to.is_dir() else to
            if not to.is_file() or (to in pages and unquote(fragment) not in pages[to].anchors):
                broken.append(f"{path.relative_to(site)}: {target}")
    print(*broken, f"{len(pages)} pages, {links} links, {len(broken)} broken", sep="\n")
    return 1 if broken or not pages else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
