"""Fetches a server's OpenAPI description for a tool that sends requests by it: openapi.py BASE FILE.

Without the parameters that wait for events and requests, since the tool would spend its time on that.
"""

import json
import sys
import urllib.request

base, file = sys.argv[1:]
with urllib.request.urlopen(f"{base}/api/v1/openapi.json") as answer:
    description = json.load(answer)
assert description["servers"][0]["url"] == base, description["servers"]
for path in ("/api/v1/events", "/api/v1/requests"):
    parameters = description["paths"][path]["get"]["parameters"]
    (wait,) = (one for one in parameters if one.get("name") == "wait")
    parameters.remove(wait)
with open(file, "w", encoding="utf-8") as out:
    json.dump(description, out)
