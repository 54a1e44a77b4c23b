"""Writes tests/goldens/chat/jinja.json: expressions, constructs and whole chat templates as Jinja2 renders them in the
environment that transformers compiles chat templates in.

Run: python jinja.py [output folder]
"""

import datetime
import json
import sys
from pathlib import Path

from transformers.utils import chat_template_utils

VARIABLES = {
    "n": None, "t": True, "f": False, "i": 7, "x": 2.5, "neg": -7, "s": "hello", "sp": "  pad \n", "empty": "", "u": "a\U0001f600b\u00e9\u00df", "quote": "it's \"so\"",
    "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "nest": [[1, 2], [3]], "d": {"a": 1, "b": None, "items": "mine"}, "e": {}, "el": [],
    "people": [{"name": "Ann", "age": 30, "city": {"zip": "1"}}, {"name": "bob", "age": 25, "city": {"zip": "2"}}, {"name": "Cid", "age": 30, "city": {}}],
    "message": {"role": "user", "content": "\n\n  indented\n\n", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.5, "y": [True, None, "z"]}}}]},
    "html": "<b>\"x\" & 'y'</b>", "multi": "one\ntwo\r\nthree\n\nfour", "words": "the quick  brown\tfox", "tpl": "%s is %d", "uni": "\u00c9cole \u00d1and\u00fa \u0130 \u03a3\u0391\u03a3",
}

EXPRESSIONS = """
n
t
f
none
True
[true, false, none]
i / 2
i // 2
neg // 2
neg % 3
neg % -3
7 % -3
-7.5 % 2
7.5 // 2
-7.5 // 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
10 ** 20
1e16
1e15
123456789.125
1e-5
0.0001
0.1 + 0.2
1.0
-0.0
1e300 * 1e10
1 / 3
4 / 2
0x1F + 0b101 + 0o17
1_000
1 + 1.0
true + true
'a' + 'b'
'a' * 3
3 * 'ab'
[1] * 3
[1] + [2]
(1, 2) + (3,)
(1,)
()
(1)
1, 2
'a' ~ 1 ~ none ~ 2.0 ~ true
'a' ~ missing
1 ~ 2 + 3
1 + 2 ~ 3
'1' == 1
1 == 1.0
1 == true
0 == false
none == false
'' == none
[1, 2] == [1, 2]
[1, 2] == (1, 2)
[1] == [1.0]
{'a': [1]} == {'a': [1]}
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
[] == el
missing == missing2
missing == none
missing is none
1 != 2
1 < 2 < 3
1 < 3 > 2
3 > 2 > 2
'a' < 'b'
'B' < 'a'
[1, 2] < [1, 3]
1 in [1, 2]
'1' in [1]
'ell' in s
'a' in d
1 not in l
'x' in missing
none in [none]
not t
not not t
not t and f
t or missing.foo
f and missing.foo
1 and 2
0 or 'x'
'' or none
none and 1
'yes' if t else 'no'
'yes' if f
1 if f else 2 if f else 3
s.upper()
s.capitalize()
'HELLO World'.title()
"they're bill's".title()
s.center(11, '*')
s.center(10)
'ab'.center(5, '-')
s.ljust(8) ~ '|'
s.rjust(8, '0')
sp.strip() ~ '|'
sp.lstrip() ~ '|'
sp.rstrip() ~ '|'
'xxhixx'.strip('x')
'xyhiyx'.lstrip('xy')
'xyhiyx'.rstrip('xy')
message.content.lstrip('\\n')
message.content.rstrip('\\n')
message.content.strip('\\n')
message.content.strip()
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.rsplit(',', 1)
words.split()
words.split(none, 1)
words.rsplit(none, 1)
''.split()
''.split(',')
'abc'.partition('b')
'abcb'.rpartition('b')
'abc'.partition('x')
s.replace('l', 'L')
s.replace('l', 'L', 1)
'abc'.replace('', '-')
s.startswith('he')
s.startswith(('x', 'h'))
s.endswith('lo')
s.startswith('l', 2)
s.find('l')
s.find('z')
s.rfind('l')
s.find('l', 3)
s.index('l')
s.count('l')
'aaa'.count('aa')
u.find('b')
s.isalpha()
'12'.isdigit()
'1.2'.isdigit()
'\u00b2'.isdigit()
'\u00bd'.isnumeric()
'a1'.isalnum()
' \\t'.isspace()
'Ab'.istitle()
'AB'.isupper()
'ab1'.islower()
'abc'.isidentifier()
'a b'.isidentifier()
'a\\tb'.expandtabs(4)
multi.splitlines()
multi.splitlines(true)
', '.join(['a', 'b'])
''.join([])
'-'.join('abc')
'abc'.zfill(5)
'-5'.zfill(4)
'hello'.removeprefix('he')
'hello'.removesuffix('lo')
'aBc'.swapcase()
'STRASSE \u00df'.casefold()
uni.lower()
uni.upper()
'%s' % 'a'
'%s and %s' % ('a', 1)
'%5d|%-5d|%05d' % (1, 2, 3)
'%.2f' % 3.14159
'%x %X %o' % (255, 255, 8)
'%e' % 12345.678
'%g' % 0.00001
'%r' % 'a'
'100%%' % ()
'%(a)s' % d
tpl % ('x', 3)
tpl|format('x', 3)
'%(k)s'|format(k=1)
'{} {}'.format(1, 'a')
'{0} {1} {0}'.format('a', 'b')
'{x:>5}|{x:<5}|{x:^5}'.format(x='ab')
'{:05.1f}'.format(3.14159)
'{:,}'.format(1234567)
'{:.2%}'.format(0.256)
'{:+d}'.format(5)
'{!r}'.format('a')
'{{}}'.format(1)
'{:x}'.format(255)
'{0[a]}'.format(d)
s[0]
s[-1]
s[1:3]
s[:-1]
s[::-1]
s[::2]
s[10:]
s[5]
u[1]
u[::-1]
u|length
u.split('b')
l[0]
l[-1]
l[3]
l[1:]
l[:2]
l[::-1]
l[-2:]
l[5:1]
(1, 2, 3)[1:]
d.a
d['a']
d.missing
d['missing']
d.items()
d['items']
d.b
d.get('a')
d.get('z')
d.get('z', 5)
d.keys()|list
d.values()|list
d.items()|list
e.items()|list
d|length
people[0].name
people[0]['city'].zip
people.0.name
nest.0.1
message.tool_calls[0].function.arguments
message.tool_calls[0].function.arguments|tojson
message['role']
s.length
l.length
missing
missing|default('x')
missing|d('x')
none|default('x')
none|default('x', true)
''|default('x', true)
d.zzz|default('q')
[missing]
l
ls
nest
d
e
{'a': {'b': [1, 'x', none]}}
{1: 2, 'k': 3.0}
quote
[quote]
["it's"]
['"']
['\\n\\t\\\\']
['\u00e9\u200b\x7f\xa0']
['\U0001f600']
1.0|tojson
1|tojson
1e20|tojson
true|tojson
none|tojson
s|tojson
u|tojson
quote|tojson
html|tojson
"\\x01\\x7f\\u2028"|tojson
l|tojson
d|tojson
people|tojson
people|tojson(indent=2)
people|tojson(indent=0)
el|tojson(indent=4)
e|tojson(indent=4)
[[], {}]|tojson(indent=1)
d|tojson(separators=(',', ':'))
u|tojson(ensure_ascii=true)
{'b': 1, 'a': 2}|tojson(sort_keys=true)
{1: 2, true: 3, none: 4}|tojson
(1, 2)|tojson
[1.5, 2]|tojson(indent='--')
message|tojson
-5|abs
neg|abs
-2.5|abs
'hELLO'|capitalize
s|center(11)
ls|count
l|count
'a b c'|wordcount
42.55|round
2.5|round
3.5|round
2.675|round(2)
42.55|round(1, 'floor')
42.55|round(1, 'ceil')
42|round
1234|round(-2)
'42'|int
'42.7'|int
'x'|int
'x'|int(5)
'ff'|int(0, 16)
'0x1f'|int(0, 16)
2.9|int
-2.9|int
' 12 '|int
'1_0'|int
true|int
none|int
'3.5'|float
'x'|float
'x'|float(1.5)
'1e3'|float
5|float
l|first
l|last
el|first
el|last
s|first
s|last
'abc'|reverse
l|reverse|list
l|sort
l|sort(reverse=true)
ls|sort
ls|sort(case_sensitive=true)
people|sort(attribute='age')|map(attribute='name')|list
people|sort(attribute='age,name')|map(attribute='name')|list
l|min
l|max
ls|min
ls|max
people|max(attribute='age')
el|min
l|sum
people|sum(attribute='age')
[1.5, 2]|sum
el|sum
l|sum(start=10)
l|join
l|join(', ')
people|join('-', attribute='name')
ls|join('|')
people|map(attribute='name')|join(',')
people|map(attribute='city.zip')|list
people|map(attribute='city.zip', default='none')|list
ls|map('upper')|list
ls|map('replace', 'a', 'z')|list
[1, 2, 3, 4]|select('odd')|list
[1, 2, 3, 4]|reject('odd')|list
[0, 1, '', 'a']|select|list
[0, 1, '', 'a']|reject|list
[1, 2, 3, 4]|select('gt', 2)|list
[1, 2, 3, 4]|select('divisibleby', 2)|list
people|selectattr('age', 'equalto', 30)|map(attribute='name')|list
people|selectattr('age', '>', 26)|list|length
people|rejectattr('age', 'eq', 30)|map(attribute='name')|list
people|selectattr('nothing')|list
people|selectattr('city.zip', 'defined')|list|length
people|map(attribute='age')|unique|list
ls|unique|list
['a', 'A', 'b']|unique|list
people|groupby('age')|list|length
people|groupby('age')|map('first')|list
d|dictsort
{'b': 1, 'A': 2, 'c': 0}|dictsort
{'b': 1, 'A': 2, 'c': 0}|dictsort(by='value')
{'b': 1, 'A': 2}|dictsort(true)
{'b': 1, 'A': 2}|dictsort(reverse=true)
[1, 2, 3, 4, 5]|batch(2)|list
[1, 2, 3, 4, 5]|batch(2, 'x')|list
[1, 2, 3, 4, 5]|slice(2)|list
[1, 2, 3, 4, 5]|slice(3, 'x')|list
'a\\nb\\n\\nc'|indent
'a\\nb\\n\\nc'|indent(2, true)
'a\\nb\\n\\nc'|indent(2, true, true)
'a\\nb'|indent('> ')
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'foo bar baz qux'|truncate(11, false, '...', 0)
html|escape
html|e
html|e|e
html|safe
(html|e) ~ '<'
('<'|safe) ~ '<'
html|forceescape
html|striptags
html|upper
'a b&c/d\u00e9'|urlencode
{'a': 1, 'b': 'x y'}|urlencode
'hello wORLD foo-bar'|title
sp|trim ~ '|'
'xxaxx'|trim('x')
1234567|filesizeformat
1|filesizeformat
1500|filesizeformat(true)
500|filesizeformat
'abc'|list
d|list
d|items|list
missing|items|list
'a'|string
5|string
none|string
l|string
s|replace('l', 'L', 1)
s|length
l|length
d|attr('a')
s is string
5 is string
5 is number
true is number
5 is integer
true is integer
5.0 is float
5.0 is integer
true is boolean
1 is boolean
none is none
missing is defined
missing is undefined
d.a is defined
d.q is defined
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
5 is sequence
l is iterable
s is iterable
5 is iterable
missing is iterable
s.upper is callable
s is callable
range is callable
4 is even
3 is odd
9 is divisibleby 3
9 is divisibleby(2)
5 is eq 5
5 is ne 5
5 is lt 6
5 is gt 6
5 is ge 5
5 is le 4
5 is equalto 5
5 is sameas 5
none is sameas none
t is sameas true
1 is sameas true
'a' is in ['a', 'b']
3 is not in [1, 2]
'abc' is lower
'ABC' is upper
'Abc' is lower
t is true
t is false
f is false
1 is true
html is escaped
(html|e) is escaped
'upper' is filter
'nope' is filter
'odd' is test
5 is not none
not 5 is none
5 is string or 5 is number
d.a is defined and d.a == 1
range(5)|list
range(1, 4)|list
range(10, 0, -3)|list
range(0)|list
dict(a=1, b=2)
dict({'x': 1}, y=2)
dict([('a', 1)])
namespace(a=1).a
namespace({'x': 2}).x
namespace().q is defined
cycler('a', 'b').next()
joiner(', ')() ~ joiner('x')()
'a' 'b'
'\\u00e9\\x41\\U0001f600\\101'
'\\q'
"a'b"
'tab\\there'
-i
+i
-x
- 3|abs
-3|abs
(-3)|abs
i|abs + 1
1 + i|string|length
'%d' % 3.7
[1, [2, [3]]]|tojson
[x for x in l]
1 +
missing.foo
missing['foo']
missing()
missing + 1
1 + missing
none.foo
none.foo.bar
none + 1
'a' + 1
1 + 'a'
'a' - 'b'
[1] + (2,)
1 / 0
1 // 0
1 % 0
1.0 / 0
'a' < 1
none < 1
[1] < 1
l|length|upper
5|length
5|first
none|length
l.append(4)
d.update({'z': 1})
d.pop('a')
l.pop()
l.sort()
s.__class__
s.nope()
s|nope
s is nope
'{}'.format()
'%d' % 'a'
'%s %s' % 'a'
'%s' % ('a', 'b')
s.index('z')
l|map('nope')|list
people|map(attribute='city')|map(attribute='zip')|map('upper')|list
missing|int
missing|float
missing|upper
missing|length
missing|list
missing|join(',')
missing|tojson
range(10)|tojson
range(3)
range(1, 7, 2)
range(5)[1]
range(5) is sequence
2 in range(5)
range(5)|length
0.5|round
1.5|round
-2.5|round
0.125|round(2)
2.5|round(0, 'common')
1e22|round(1)
{'a': none}.a
[none][0]
(none)
d.b is none
n|tojson
s()
range(1000000)
raise_exception('no ' ~ s)
[1, 2, 3][1.0]
l['0']
s['0']
5 is divisibleby 0
'abc'[::0]
dict(1)
{}[[]]
d[[]]
'a'.join([1])
'a'.split('')
'a'.center(5, '--')
strftime_now('%Y-%m-%d %d %b %B %A %a %j %H:%M:%S %p %I %y %-d %e %%')
strftime_now('%d %B %Y')
1 is
(1
{'a': 1
'abc
a b
1 if
''.foo.bar
loop
loop.index
caller
i.real
x.is_integer()
""".strip("\n").split("\n")

TEMPLATES = {
    "trim blocks": "a\n{% if t %}\nb\n{% endif %}\nc\n",
    "lstrip blocks": "a\n  {% if t %}\n  b\n  {% endif %}\n  c\n",
    "no lstrip for values": "  {{ 1 }}\n  {{ 2 }}\n",
    "plus keeps": "a\n  {%+ if t +%}\n b\n{% endif %}x",
    "minus": "a \n {%- if t -%} \n b \n {%- endif -%} \n c",
    "minus values": "a \n {{- 1 -}} \n b {{ 2 -}} \n\n c {{- 3 }}",
    "comments": "a {# x #} b\n{# line #}\nc {#- y -#} d\n  {# z #}\n  e",
    "text before a block": "x {% if t %} y {% endif %} z",
    "two trailing newlines": "a\n\n",
    "one trailing newline": "a\n",
    "crlf": "a\r\n{% if t %}\r\nb\r\n{% endif %}\r\n",
    "tabs": "\t{% if t %}\t\n\tb\n\t{% endif %}",
    "raw": "a {% raw %}{{ x }} {% if %}{% endraw %} b",
    "raw trim": "a\n{%- raw -%}\n {{ x }} \n{%- endraw -%}\n b",
    "raw lines": "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "blocks in a line": "{% if t %}{% if f %}1{% else %}2{% endif %}{% endif %}",
    "for": "{% for a in l %}{{ a }},{% endfor %}",
    "for else": "{% for a in el %}{{ a }}{% else %}none{% endfor %}",
    "for if": "{% for a in l if a > 1 %}{{ loop.index }}:{{ a }}/{{ loop.length }} {% endfor %}",
    "for if else": "{% for a in l if a > 10 %}{{ a }}{% else %}none{% endfor %}",
    "for tuple": "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "for dict": "{% for k in d %}{{ k }};{% endfor %}",
    "for string": "{% for c in u %}[{{ c }}]{% endfor %}",
    "for missing": "{% for c in missing %}x{% endfor %}.",
    "for none": "{% for c in none %}x{% endfor %}",
    "for nested pairs": "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "for too many": "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "loop variables": "{% for a in ls %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "loop neighbours": "{% for a in ls %}{{ loop.previtem }}<{{ a }}>{{ loop.nextitem is defined }}{{ loop.nextitem }} {% endfor %}",
    "loop cycle": "{% for a in ls %}{{ loop.cycle('x', 'y') }}{% endfor %}",
    "loop changed": "{% for a in [1, 1, 2] %}{{ loop.changed(a) }} {% endfor %}",
    "loop inner": "{% for a in nest %}{% set outer = loop %}{% for b in a %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}",
    "loop after": "{% for a in l %}{% endfor %}{{ loop is defined }}",
    "recursive": "{% for a in [[1, [2, [3]]], 4] recursive %}{% if a is iterable %}({{ loop(a) }}{{ loop.depth }}){% else %}{{ a }}{% endif %}{% endfor %}",
    "not recursive": "{% for a in l %}{{ loop(a) }}{% endfor %}",
    "break": "{% for a in l %}{% if a == 1 %}{% break %}{% endif %}{{ a }}{% endfor %}",
    "continue": "{% for a in l %}{% if a == 1 %}{% continue %}{% endif %}{{ a }}{% endfor %}",
    "break in if outside": "{% for a in l %}{% for b in l %}{% break %}{% endfor %}{{ a }}{% endfor %}",
    "set": "{% set a = 1 %}{{ a }}{% set a, b = 2, 3 %}{{ a }}{{ b }}",
    "set in loop": "{% set a = 1 %}{% for b in l %}{{ a }}{% set a = b %}{{ a }}{% endfor %}{{ a }}",
    "set in if": "{% if t %}{% set a = 1 %}{% endif %}{{ a }}",
    "set block": "{% set a %}x {{ i }} y{% endset %}[{{ a }}]",
    "set block filter": "{% set a | upper | trim %} x {{ s }} {% endset %}[{{ a }}]",
    "set tuple": "{% set a = 1, 2 %}{{ a }}",
    "namespace": "{% set ns = namespace(x=0) %}{% for a in l %}{% set ns.x = ns.x + a %}{% endfor %}{{ ns.x }}{{ ns.y is defined }}",
    "namespace private": "{% set ns = namespace(x=0) %}{% set ns._x = 1 %}",
    "set on dict": "{% set d.z = 1 %}",
    "if chain": "{% for a in l %}{% if a == 1 %}one{% elif a == 2 %}two{% else %}more{% endif %} {% endfor %}",
    "macro": "{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(a=5, c=6) }} {{ m() }}",
    "macro varargs": "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "macro too many": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "macro unknown name": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "macro scope": "{% set g = 1 %}{% macro m() %}{{ g }}{% set g = 5 %}{{ g }}{% endmacro %}{{ m() }}{{ g }}",
    "macro later": "{% macro m() %}{{ later }}{% endmacro %}{% set later = 3 %}{{ m() }}",
    "macro recursion": "{% macro m(a) %}{{ a }}{% if a > 0 %}{{ m(a - 1) }}{% endif %}{% endmacro %}{{ m(3) }}",
    "macro in loop": "{% for a in l %}{% macro m() %}{{ a }}{% endmacro %}{{ m() }}{% endfor %}",
    "call": "{% macro m(a) %}<{{ caller() }}{{ a }}>{% endmacro %}{% call m(1) %}in {{ i }}{% endcall %}",
    "call args": "{% macro m() %}{% for a in l %}{{ caller(a, k=2) }}{% endfor %}{% endmacro %}{% call(x, k=1) m() %}[{{ x }}{{ k }}]{% endcall %}",
    "call unused": "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "filter block": "{% filter upper | replace('A', 'b') %}a {{ s }}{% endfilter %}",
    "with": "{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "with set": "{% with %}{% set a = 1 %}{{ a }}{% endwith %}{{ a }}",
    "generation": "x{% generation %}y {{ i }}{% endgeneration %}z",
    "generation lines": "x\n{%- generation %}\n y\n{%- endgeneration %}\nz",
    "generation set": "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}",
    "block": "{% block x %}in{% set a = 1 %}{% endblock %}{{ a }}",
    "autoescape": "{% autoescape false %}{{ html }}{% endautoescape %}",
    "unknown tag": "{% do x %}",
    "include": "{% include 'x' %}",
    "unclosed": "{% if t %}x",
    "unclosed tag": "{% if t",
    "unclosed comment": "{# x",
    "stray end": "{% endif %}",
    "braces in values": "{{ {'a': {'b': 1}}['a'] }}{{ '}}' }}{{ \"%}\" }}",
    "dict over lines": "{{ {\n 'a': 1,\n 'b': 2,\n} }}",
    "call over lines": "{{ dict(\n a=1,\n b=2,\n) }}",
    "list trailing comma": "{{ [1, 2,] }}",
    "strings with newlines": "{{ 'a\nb' }}",
    "joiner": "{% set j = joiner('|') %}{% for a in l %}{{ j() }}{{ a }}{% endfor %}",
    "cycler": "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set _ = c.reset() %}{{ c.current }}",
    "star args": "{% macro m(a, b, c=0) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(1, **{'b': 2, 'c': 3}) }}",
    "generator once": "{% set g = l | select('odd') %}{{ g | list }}{{ g | list }}",
    "generator length": "{{ (l | select) | length }}",
    "generator loop": "{% for a in l | select('odd') %}{{ loop.index }}{{ a }}{{ loop.last }} {% endfor %}",
    "loop length of generator": "{% for a in l | map('string') %}{{ loop.length }}{% endfor %}",
    "undefined in condition": "{% if missing %}1{% else %}2{% endif %}{% if missing.foo is defined %}3{% endif %}",
    "undefined printed deep": "{{ d.q }}{{ d.q.r }}",
    "not defined chain": "{% if not d.q is defined %}yes{% endif %}",
    "compare roles": "{% if (message.role == 'user') != (i % 2 == 0) %}odd{% else %}even{% endif %}",
    "long else": "{% if f %}a{% elif f %}b{% elif t %}c{% endif %}",
    "shadow": "{% set range = 5 %}{{ range }}",
    "shadow true": "{% set true = 5 %}",
    "tojson in text": "{{- '{\"a\": ' }}{{- l | tojson }}{{- '}' }}",
    "signs": "{{ 1 - -1 }}{{ 2 - 1 }}{{ -1 - 1}}{{ 1 -1 }}",
    "minus at end": "{{ 1 -}}\n\n 2",
    "whitespace kinds": "a\u00a0\u3000{%- if t -%}\u2003 b\u200b {%- endif %}",
}


def variables():
    return json.loads(json.dumps(VARIABLES))


def render(source, values):
    try:
        return {"text": chat_template_utils._cached_compile_jinja_template(source).render(**values)}
    except Exception as error:  # what Jinja2 refuses
        return {"error": str(error)}


user = lambda text: {"role": "user", "content": text}
assistant = lambda text, **more: {"role": "assistant", "content": text, **more}
system = lambda text: {"role": "system", "content": text}
call = lambda name, **args: {"id": "abcdefghi", "type": "function", "function": {"name": name, "arguments": args}}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "Weather of a \"city\" <now>", "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "Which"}, "days": {"type": "integer", "default": 3}, "unit": {"type": "string", "enum": ["C", "F"], "default": "C"}, "tags": {"type": "array", "items": {"type": "string"}}, "where": {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": ["number", "null"]}}, "required": ["x"]}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "now", "description": "The time", "parameters": {"type": "object", "properties": {"zone": {"oneOf": [{"type": "string", "default": "UTC"}, {"type": "integer", "description": "offset"}]}}, "required": []}}},
]
CONVERSATIONS = {
    "one question": {"messages": [user("Why is the sky blue?")]},
    "system first": {"messages": [system("  Be brief. /no_think "), user("Hi"), assistant("Hello!"), user("Bye")]},
    "indented code": {"messages": [user("  code:\n\n    x = 1\n"), assistant("<think>\nhm\n</think>\n\n    y = 2\n"), user("\n  more")]},
    "odd text": {"messages": [user("tabs\tand\nlines \u4f60\u597d \U0001f600 {{ not jinja }} {% no %} <|im_end|> 'q' \"d\" \u00a0")]},
    "no prompt": {"messages": [user("a"), assistant("b")], "add_generation_prompt": False},
    "two users": {"messages": [user("a"), user("b")]},
    "tools": {"messages": [system("S"), user("Weather?")], "tools": TOOLS},
    "call and result": {"messages": [user("Weather?"), assistant("", tool_calls=[call("weather", city="Z\u00fcrich", days=2, wet=True, none=None, share=0.5, list=[1, "a"])]), {"role": "tool", "tool_call_id": "abcdefghi", "name": "weather", "content": "{\"sun\": 1}"}], "tools": TOOLS},
    "thoughts": {"messages": [user("x"), assistant("", reasoning_content="\nthink\n", thinking="think", tool_calls=[call("now")]), {"role": "tool", "tool_call_id": "abcdefghi", "name": "now", "content": "12:00"}, assistant("noon", reasoning_content="ok"), user("thanks")], "tools": TOOLS},
    "no thinking": {"messages": [user("x")], "enable_thinking": False, "thinking": True, "reasoning_effort": "high"},
    "documents": {"messages": [user("x")], "documents": [{"title": "a b", "text": "c"}], "tone": "LOUD"},
    "empty text": {"messages": [user("")]},
    "nothing": {"messages": []},
}


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 3, 5, 14, 7, 9, 120000)


def families():
    """Templates in the style of model families, each over every conversation."""
    made = {}
    for path in sorted((Path(__file__).parent / "templates").glob("*.jinja")):
        source = path.read_text()
        values = lambda c: json.loads(json.dumps({"tools": None, "documents": None, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", **c}))
        made[path.stem] = {"source": source, "results": {name: render(source, values(c)) for name, c in CONVERSATIONS.items()}}
    return made


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "tests/goldens/chat"
    out.mkdir(parents=True, exist_ok=True)
    chat_template_utils.datetime = FixedClock
    document = {
        "variables": VARIABLES, "now": [2024, 2, 5, 14, 7, 9, 120],
        "expressions": [[e, render("{{ " + e + " }}", variables())] for e in EXPRESSIONS],
        "conversations": CONVERSATIONS,
        "families": families(),
        "templates": [[name, source, render(source, variables())] for name, source in TEMPLATES.items()],
    }
    path = out / "jinja.json"
    path.write_text(json.dumps(document, ensure_ascii=True, indent=0) + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
