"""Scripts of users as text: what can be seen to be wrong without running them."""

import ast

from lsyncd_lite.paths import show

# What is called, and with how many arguments.
CALLED = {"prepare": 1, "on_startup": 1, "on_create": 1, "on_modify": 1, "on_attrib": 1, "on_delete": 1, "on_move": 2,
          "action": 1, "collect": 2}
OF_EVENTS = ("on_create", "on_modify", "on_attrib", "on_delete", "on_move")


def check(code, filename):
    """Return (errors, warnings), lists of (line, words), for a script (bytes)."""
    import warnings
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tree = ast.parse(code, filename)
            compile(code, filename, "exec", dont_inherit=True)  # finds more: "return" outside of a function
    except SyntaxError as error:
        return [(error.lineno or 1, error.msg)], []
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes; nested too deeply
        return [(1, str(error) or "nested too deeply")], []
    errors, doubts, names = [], sorted({(one.lineno, str(one.message)) for one in caught}), {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names[node.name] = node.lineno
            if node.name in CALLED:
                errors += [(node.lineno, words) for words in _wrong(node)]
            else:
                doubts += [(node.lineno, words) for words in _like_one(node.name)]
        elif not isinstance(node, (ast.Expr, ast.ClassDef)):  # an assignment, an import, a condition around these
            names.update((name, node.lineno) for name in _bound(node))
    dynamic = "*" in names or any(isinstance(node, ast.Name) and node.id == "alarm" for node in ast.walk(tree))
    errors += [(names.get("action", 1), words) for words in problems(names) if not dynamic or "action" in names]
    return errors, doubts


def problems(names):
    """Yield what is wrong with the names (str) that a script defines."""
    both = [name for name in OF_EVENTS if name in names]
    if "action" in names and both:
        yield "action stands beside %s; allowed: one of them" % ", ".join(both)
    if not set(names).intersection(CALLED):
        yield "defines none of %s" % ", ".join(CALLED)


def _like_one(name):
    """Yield a doubt about the name of a function that nothing calls."""
    import difflib
    bare = {other.replace("_", ""): other for other in CALLED}
    near = difflib.get_close_matches(name.replace("_", "").lower(), bare, 1)
    if name.startswith("on_") or near and name.startswith("on") and name[2:3].isupper():
        yield "nothing calls %s%s" % (show(name), "; did you mean %s?" % bare[near[0]] if near else "")


def _wrong(node):
    """Yield what keeps a function from being called."""
    if isinstance(node, ast.AsyncFunctionDef):
        yield "%s is async; allowed: a plain function, which may yield" % node.name
    given, wanted = node.args, CALLED[node.name]
    count = len(getattr(given, "posonlyargs", ())) + len(given.args)
    needed = count - len(given.defaults)
    if needed > wanted or count < wanted and given.vararg is None or None in given.kw_defaults:
        yield "%s is called with %d argument%s" % (node.name, wanted, "s" * (wanted > 1))


def _bound(node):
    """Return the names that a statement binds, in blocks within it, too."""
    found = {other.id for other in ast.walk(node) if isinstance(other, ast.Name) and isinstance(other.ctx, ast.Store)}
    for other in ast.walk(node):
        if isinstance(other, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).partition(".")[0] for alias in other.names)
        elif isinstance(other, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(other.name)
    return found
