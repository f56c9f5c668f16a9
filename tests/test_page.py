"""Report pages are complete, escaped and say what their pictures show."""

import html.parser

from input_pipeline import page


class Reader(html.parser.HTMLParser):
  """Collects a page's tags, and sees that each is closed."""

  def __init__(self):
    super().__init__()
    self.open, self.seen = [], []

  def handle_starttag(self, tag, attributes):
    self.seen.append((tag, dict(attributes)))
    if tag not in ("meta", "img"):
      self.open.append(tag)

  def handle_endtag(self, tag):
    assert self.open.pop() == tag


def write(path, *blocks):
  section = page.Section("A <b> heading", blocks)
  page.write_page(page.Page("Title & more", "Lead.", [section], "us"), path)
  reader = Reader()
  reader.feed(path.read_text())
  assert reader.open == []
  return reader.seen


def test_every_block_is_shown(tmp_path):
  seen = write(
    tmp_path / "page.html",
    page.Text("words"),
    page.Command("make demo"),
    page.Facts([("Frames", "200")]),
    page.Table(["Check", "Outcome"], [["Length", "warn"], ["Face", "pass"]]),
    page.Picture("report/a.png", "what it shows", "what to look for"),
    page.Sound("a.wav", "a voice"),
    page.Film("a.mp4", "a face"),
  )
  tags = [tag for tag, _ in seen]
  for tag in ("p", "pre", "dl", "table", "img", "audio", "video"):
    assert tag in tags
  badges = [a["class"] for tag, a in seen if tag == "span"]
  assert badges == ["badge warn", "badge pass"]
  (picture,) = (a for tag, a in seen if tag == "img")
  assert picture == {"src": "report/a.png", "alt": "what it shows"}


def test_text_is_escaped(tmp_path):
  path = tmp_path / "page.html"
  seen = write(path, page.Text("<script>alert(1)</script>"))
  assert all(tag != "script" for tag, _ in seen)
  assert "A &lt;b&gt; heading" in path.read_text()
  assert "Title &amp; more" in path.read_text()


def test_page_fits_a_phone_and_needs_no_network(tmp_path):
  path = tmp_path / "page.html"
  seen = write(path, page.Text("words"))
  names = [a.get("name") for tag, a in seen if tag == "meta"]
  assert "viewport" in names
  assert all(tag not in ("link", "script") for tag, _ in seen)
  assert "http" not in path.read_text()
