"""The text that lies in every bundle: what it is, and how to check it without this project. Knows no bundle."""

README = """\
This is an evidence bundle of hoopproxy: what a gateway noted of every connection, and the recordings.

  log.jsonl      one entry a line, in order; docs/evidence.md of the project tells the kinds and fields
  recordings/    session/connection.hprec, encrypted; their digests are in the log
  manifest.json  how many entries there are, the digest over them, and the names of the recordings

To verify all of it:

  hoopproxy evidence verify BUNDLE --head SIZE:SHA256

The head is two values that somebody outside wrote down earlier. Without it the log may have been cut off at its end.

To check the log without hoopproxy, unpack the bundle and run this with any Python 3.8 or later:

  import hashlib, json
  domain = b"hoopproxy/log/1\\0"
  head, size = hashlib.sha256(domain), 0
  for line in open("log.jsonl", "rb"):
      leaf, entry = line[:-1], json.loads(line)
      assert entry["index"] == size and entry["prev"] == head.hexdigest(), "entry %d does not belong here" % size
      head, size = hashlib.sha256(domain + head.digest() + leaf), size + 1
  print(size, head.hexdigest())

It prints the head. It must be the one in manifest.json, and for an earlier head from outside the loop passes it after
that many lines.
"""
