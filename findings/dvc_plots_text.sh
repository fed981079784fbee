#!/usr/bin/env bash
# Expected: `dvc plots show` draws a table of scores by name (x: model), or says that it cannot.
# What happens: the default template takes both axes for numbers; the page has an empty plot, the status is 0, nothing is said.
# Versions: DVC 3.67.1 with dvc-render 1.0.2.
# What to do: put the names on y with `template: bar_horizontal` (one row a name: more are added up), or a template of one's own.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check dvc==3.67.1 dvc-render==1.0.2
export PATH=$folder/venv/bin:$PATH
mkdir project; cd project; git init --quiet; dvc init --quiet
printf 'model,accuracy\nvit,0.81\nresnet,0.93\n' > scores.csv

axis() {  # types of the axes in the page that DVC makes for a definition of the plot
  printf 'plots:\n- scores.csv: %s\n' "$1" > dvc.yaml
  dvc plots show > said.txt 2>&1; echo "dvc plots show, status $?: $(grep -v '^$' said.txt | sed 's/file:.*\//…\//' | tail -1)"
  python3 - <<'PYTHON'
import json, re
page = open("dvc_plots/index.html").read()
spec = json.loads(re.search(r"var spec = (\{.*?\});\s*vegaEmbed", page, re.DOTALL).group(1))
def axes(node):
    if isinstance(node, dict):
        encoding = node.get("encoding", {})
        for axis in ("x", "y"):
            if "type" in encoding.get(axis, {}):
                yield f"{axis}: {encoding[axis]['field']} is {encoding[axis]['type']}"
        for value in node.values():
            yield from axes(value)
    elif isinstance(node, list):
        for value in node:
            yield from axes(value)
print("; ".join(dict.fromkeys(axes(spec))))
PYTHON
}
dvc --version
echo "-- {x: model, y: accuracy}"; plain=$(axis '{x: model, y: accuracy}'); echo "$plain"
echo "-- {x: accuracy, y: model, template: bar_horizontal}"
bars=$(axis '{x: accuracy, y: model, template: bar_horizontal}'); echo "$bars"
grep -q 'x: model is quantitative' <<< "$plain" || { echo "changed: names are no longer taken for numbers"; exit 1; }
grep -q 'y: model is nominal' <<< "$bars" || { echo "changed: bar_horizontal does not take names"; exit 1; }
echo "As described: a text column on a quantitative axis draws nothing, and DVC does not say so."
