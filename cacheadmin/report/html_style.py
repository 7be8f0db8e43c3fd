"""How a page looks and the little that moves on it; all else is in the page itself.

Both texts are part of the page and named in its Content-Security-Policy by
their hash: nothing that any user smuggles into the page is applied or run.
Without script the page is complete; with it, tables can be sorted.
"""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root{color-scheme:light dark;--ground:#f4f6f9;--card:#fff;--ink:#1a2230;--faint:#5a6575;
--line:#dde2ea;--track:#e6eaf0;--link:#1f5fc4;--good:#14713f;--good-ground:#e0f4e8;
--warn:#7d5200;--warn-ground:#fdf0d2;--bad:#a8202f;--bad-ground:#fde4e6;
--s0:#3573db;--s1:#e07b32;--s2:#2b9f73;--s3:#a950a0;--s4:#cda52c;--s5:#43a5b8;--s6:#d24f60;
--s7:#9aa3b0}
@media (prefers-color-scheme:dark){:root{--ground:#10141b;--card:#19202a;--ink:#e6eaf1;
--faint:#9ba7b8;--line:#2c3644;--track:#28313e;--link:#86b2ff;--good:#7edba6;--good-ground:#143324;
--warn:#f2c666;--warn-ground:#3a2d10;--bad:#ff9aa5;--bad-ground:#43191f;
--s0:#6b9fff;--s1:#f0a163;--s2:#5ac79b;--s3:#d486c8;--s4:#e3c65f;--s5:#79c9da;--s6:#ef8290;
--s7:#727d8d}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main,header,footer{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:28px}
h1{font-size:1.65rem;line-height:1.2;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:0 0 10px}
h3{font-size:1rem;margin:0 0 8px}
p{margin:0 0 10px;max-width:75ch}
a{color:var(--link)}
a:focus-visible,button:focus-visible,.scroll:focus-visible,summary:focus-visible{
outline:2px solid var(--link);outline-offset:2px}
code{font:0.92em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}
bdi{overflow-wrap:anywhere}
time,thead th,.findings code{white-space:nowrap}
.card.goals{margin:0 0 16px;padding:10px 20px}
.faint{color:var(--faint)}
.unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
white-space:nowrap}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;
margin:0 0 16px}
.cache{margin-top:20px}
.grid2{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
.grid2>.card{margin:0;min-width:0}
.grid2{margin-bottom:16px}
.card>.grid2{gap:16px 32px;margin:0}
.facts{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));
margin:0 0 16px;padding:0}
.facts>div{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:12px 16px;
display:flex;flex-direction:column-reverse;justify-content:flex-end}
.facts dt{color:var(--faint);font-size:.87rem}
.facts dd{margin:0;font-size:1.45rem;font-weight:650;font-variant-numeric:tabular-nums;
line-height:1.25}
.facts .note{font-size:.82rem;font-weight:400;color:var(--faint);display:block}
.verdict{border-left:6px solid var(--line)}
.verdict.safe{border-left-color:var(--good)}
.verdict.limited{border-left-color:var(--warn)}
.verdict.refused{border-left-color:var(--bad)}
.verdict ul{margin:8px 0 0;padding-left:20px}
.verdict li{margin-bottom:4px;overflow-wrap:anywhere}
.badge{display:inline-block;border-radius:999px;padding:1px 10px;font-weight:650;font-size:.87rem;
background:var(--track);white-space:nowrap}
.safe>.badge,.badge.ok{background:var(--good-ground);color:var(--good)}
.limited>p>.badge,.badge.warning,.badge.limited{background:var(--warn-ground);color:var(--warn)}
.badge.error,.badge.refused,.badge.broken{background:var(--bad-ground);color:var(--bad)}
.badge.safe{background:var(--good-ground);color:var(--good)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th,td{padding:6px 12px 6px 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
th:last-child,td:last-child{padding-right:0}
tbody tr:last-child>*{border-bottom:0}
thead th{color:var(--faint);font-weight:600;font-size:.85rem;white-space:nowrap}
tbody th{font-weight:500;min-width:130px}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.wide th[scope=row]{min-width:220px}
.wide td:nth-child(2),.wide td:nth-child(5){white-space:nowrap}
.findings td:nth-child(4),.findings td:nth-child(5){min-width:220px}
thead th,thead bdi,thead button{overflow-wrap:normal;text-align:inherit}
thead button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}
thead button::after{content:"\\2195";margin-left:4px;opacity:.45}
th[aria-sort=ascending] button::after{content:"\\2191";opacity:1}
th[aria-sort=descending] button::after{content:"\\2193";opacity:1}
.chart{display:block;width:100%;min-width:420px;height:auto}
.tick{font-size:12px;fill:var(--faint)}
.grid{stroke:var(--line);stroke-width:1}
.share{display:block;width:100%;min-width:70px;height:8px;border-radius:4px;margin-top:7px}
.track{fill:var(--track)}
.s0{fill:var(--s0)}.s1{fill:var(--s1)}.s2{fill:var(--s2)}.s3{fill:var(--s3)}
.s4{fill:var(--s4)}.s5{fill:var(--s5)}.s6{fill:var(--s6)}.s7{fill:var(--s7)}
path{stroke:var(--card);stroke-width:.75}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 0;padding:0;
font-size:.9rem}
.swatch{width:11px;height:11px;margin-right:6px}
details{margin-top:10px}
.scroll+h3{margin-top:16px}
summary{cursor:pointer;color:var(--faint)}
dl.words dt{font-weight:650;margin-top:10px}
dl.words dd{margin:2px 0 0;max-width:75ch}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;margin:12px 0 0;padding:0}
footer{padding-top:8px;padding-bottom:32px;color:var(--faint);font-size:.87rem}
@media (max-width:600px){main,header,footer{padding:0 12px}.card{padding:14px}
.chart{min-width:0}.tick{font-size:18px}.between{display:none}.facts{grid-template-columns:1fr 1fr}
.stacked,.stacked tbody,.stacked tr,.stacked th,.stacked td{display:block}
.stacked thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.stacked tr{border-bottom:1px solid var(--line);padding:8px 0}
.stacked tbody tr:last-child{border-bottom:0}
.stacked tbody th,.stacked td{border:0;padding:1px 0;text-align:left;white-space:normal}
.stacked tbody th,.card .stacked th[scope=row],.card .stacked td{min-width:0}
.stacked tbody th{font-weight:650}
.stacked td::before{content:attr(data-label)": ";color:var(--faint)}
.wide .stacked td,.findings .stacked code{white-space:normal}
.shares th:nth-child(2),.shares td:nth-child(2){display:none}
.shares th,.shares td{padding-right:8px}.shares tbody th{min-width:0}
.shares th:not([aria-sort]) button::after{display:none}}
@media print{:root{color-scheme:light;--ground:#fff;--card:#fff;--ink:#000;--faint:#444;
--line:#bbb;--track:#e6e6e6}body{font-size:10.5pt}.card,.facts>div{break-inside:avoid;
border-radius:0}.findings.card,.wide.card{break-inside:auto}tr{break-inside:avoid}
table,thead th{font-size:8.5pt}.scroll{overflow:visible}
code,thead th,thead .number{white-space:normal}
.findings td:nth-child(4),.findings td:nth-child(5),.wide th[scope=row],tbody th{min-width:0}
.findings th[scope=row]{min-width:28mm}
.wide td:nth-child(2),.wide td:nth-child(5),.findings code{white-space:normal}
.chart{min-width:0}nav,summary,thead button::after{display:none}
details::details-content{content-visibility:visible;display:block;block-size:auto}
svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""

SCRIPT = """
document.querySelectorAll("table.sortable").forEach(function(table){
  var body=table.tBodies[0];
  if(body.rows.length<2)return;
  table.querySelectorAll("thead th").forEach(function(head,column){
    var button=document.createElement("button");
    button.type="button";
    while(head.firstChild)button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener("click",function(){
      var up=head.getAttribute("aria-sort")==="descending";
      table.querySelectorAll("thead th").forEach(function(other){
        other.removeAttribute("aria-sort")});
      head.setAttribute("aria-sort",up?"ascending":"descending");
      var rows=Array.prototype.slice.call(body.rows);
      rows.sort(function(a,b){
        var x=a.cells[column],y=b.cells[column],order;
        if(x.dataset.value!==undefined&&y.dataset.value!==undefined)
          order=Number(x.dataset.value)-Number(y.dataset.value);
        else order=x.textContent.localeCompare(y.textContent);
        return up?order:-order});
      rows.forEach(function(row){body.appendChild(row)});
    });
  });
});
addEventListener("beforeprint",function(){
  document.querySelectorAll("details").forEach(function(one){one.open=true});
});
"""


def content_policy() -> str:
    """Return the page's Content-Security-Policy: this style, this script, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
