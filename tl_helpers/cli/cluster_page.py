"""The page that `cluster` writes: one HTML file with everything in it and no scripts, to e-mail or put on a USB stick."""

import base64
import html
import io
from collections.abc import Sequence

from matplotlib.figure import Figure

STYLE = """pre{white-space:pre-wrap}body{font:16px/1.5 sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left}
figure{display:inline-block;margin:4px;width:84px;font-size:12px;line-height:1.2;vertical-align:top;overflow-wrap:anywhere}
figure img{width:80px;height:80px;object-fit:contain;border:1px solid #ddd}h2{margin-top:2.5rem}
label{margin-right:.8rem;white-space:nowrap}blockquote{margin:.3rem 0;color:#444;border-left:3px solid #ddd;padding-left:.8rem}"""


def page(title: str, facts: Sequence[str], metrics: dict, choice, map_: str, rows: list[dict], items) -> str:
    """HTML of what was found: facts and measures, the curve of k, the map, each cluster's pictures or words.

    `choice` is a Choice or None, `map_` an SVG whose dots have the classes c0, c1 …, `rows` come from `describe`, `items`
    is the ImageSet or TextSet that was clustered.
    """
    esc = html.escape
    numbers = "".join(f"<tr><td>{esc(name)}</td><td>{value:.3f}</td></tr>" for name, value in metrics.items())
    ways = "".join(f'<input type="radio" name="c" id="s{c}"><label for="s{c}">{c}</label>' for c in range(len(rows)))
    # a dot fades while another cluster is selected: CSS does that, so the page needs no script
    fade = "".join(f"#s{c}:checked~svg [class^=c]:not(.c{c}){{opacity:.06}}" for c in range(len(rows)))
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{esc(title)}</title><style>{STYLE}{fade}</style>',
        f"<h1>{esc(title)}</h1><p>{'<br>'.join(map(esc, facts))}</p>",
        f"<h2>Compared with the labels, which were not used</h2><table>{numbers}</table>" if metrics else "",
        f"<h2>How many clusters?</h2>{_curve(choice)}<pre>{esc(str(choice))}</pre>" if choice else "",
        "<h2>The map</h2><p>Near means alike; far apart says little. Hold the mouse over a dot. Show one cluster:</p>"
        f'<div><input type="radio" name="c" id="all" checked><label for="all">all</label>{ways}<br>{map_}</div>',
        *(_cluster(row, items) for row in rows),
    ]
    if getattr(items, "attribution", ""):
        parts.append(f"<p><small>{esc(items.attribution)}</small></p>")
    return "\n".join(parts) + "</html>\n"


def _cluster(row: dict, items) -> str:
    words = f"<p><b>{html.escape(', '.join(row['words']))}</b></p>" if row["words"] else ""
    show = _faces if hasattr(items, "images") else _quotes
    return (
        f'<h2 id="cluster{row["cluster"]}">Cluster {row["cluster"]}: {row["size"]}</h2>{words}'
        f"<p>Nearest to the centre</p>{show(row['nearest'], items)}<p>Least sure</p>{show(row['least_sure'][:4], items)}"
    )


def _faces(numbers: list[int], items) -> str:
    from torchvision.transforms.functional import to_pil_image

    found = []
    for i in numbers:
        small, raw = to_pil_image(items.images[i]), io.BytesIO()
        small.thumbnail((160, 160))
        small.save(raw, format="png", optimize=True)
        data, name = base64.b64encode(raw.getvalue()).decode(), html.escape(items.names[i])
        found.append(f'<figure><img src="data:image/png;base64,{data}" alt="{name}">{name}</figure>')
    return "".join(found)


def _quotes(numbers: list[int], items) -> str:
    return "".join(f"<blockquote>{html.escape(items.texts[i][:240])}</blockquote>" for i in numbers[:4])


def _curve(choice) -> str:
    """The criterion against k: the mean over the draws, and a bar of one standard deviation."""
    means, raw = choice.values.mean(0), io.BytesIO()
    spread = choice.values.std(0, ddof=1) if len(choice.values) > 1 else None
    figure = Figure(figsize=(6, 2.4), layout="constrained")
    axes = figure.subplots()
    axes.errorbar(choice.ks, means, spread, color="#0072B2", marker="o", capsize=3)
    axes.plot(choice.k, means[choice.ks.index(choice.k)], "o", color="#D55E00", zorder=3)
    axes.set(xlabel="k", ylabel=choice.criterion, xticks=choice.ks)
    figure.savefig(raw, dpi=150)
    data = base64.b64encode(raw.getvalue()).decode()
    return f'<img width="600" alt="{choice.criterion} against k" src="data:image/png;base64,{data}">'
