// The request of the page as a command and as a program.

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function asCurl(origin, body, hasToken) {
  return [
    `curl -N ${quoted(`${origin}/v1/prompt`)}`,
    ...(hasToken ? [`-H "Authorization: Bearer $ORAC_TOKEN"`] : []),
    `-H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify(body))}`,
  ].join(" \\\n  ");
}

export function asPython(origin, body, hasToken) {
  const token = hasToken ? `, "Authorization": f"Bearer {os.environ['ORAC_TOKEN']}"` : "";
  return `import json
${hasToken ? "import os\n" : ""}from urllib.request import Request, urlopen

body = ${python(body)}
headers = {"Content-Type": "application/json"${token}}
request = Request("${origin}/v1/prompt", json.dumps(body).encode(), headers)
with urlopen(request) as answer:
    print(json.load(answer)["response"])
`;
}

/** Returns a JSON value as Python writes it. */
export function python(value) {
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${python(each)}`);
  return `{${pairs.join(", ")}}`;
}
