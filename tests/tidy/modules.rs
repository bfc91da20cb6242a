//! Which file imports which: the `use` declarations and the paths in the code, followed through re-exports.

use crate::{Source, rust};
use std::collections::{BTreeMap, BTreeSet};

/// The crates of the project: where their code stands, and what others call them.
pub const CRATES: [(&str, &str); 3] =
    [("src/", "farebox"), ("jobs/src/", "farebox_jobs"), ("jobs/queue/src/", "farebox_queue")];

/// A path from a crate's root: the crate's folder, and the names.
type Full = (&'static str, Vec<String>);

/// An import: the files' paths, and the line of the one that imports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub from: String,
    pub line: usize,
    pub to: String,
}

struct Module {
    file: String,
    /// Names that a `use` brings in, with what they stand for.
    bound: BTreeMap<String, Full>,
    /// What a `use …::*` brings in.
    globs: Vec<Full>,
    defined: BTreeSet<String>,
    /// Every path of more than one name, with its line.
    paths: Vec<(usize, Full)>,
}

/// All modules of the project, by their paths.
pub struct Modules(BTreeMap<Full, Module>);

/// The crate's folder and the module's name of a file; nothing if it is not of a crate's code.
fn place(path: &str) -> Option<Full> {
    let (root, _) = CRATES.iter().find(|(root, _)| path.starts_with(root))?;
    let inner = path.strip_prefix(root)?.strip_suffix(".rs")?;
    let mut names: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|name| name == "mod") || names == ["lib"] {
        names.pop();
    }
    Some((root, names))
}

impl Modules {
    pub fn of(files: &[Source]) -> Self {
        let places: BTreeMap<Full, &Source> =
            files.iter().filter_map(|file| Some((place(&file.path)?, file))).collect();
        let known = |full: &Full| places.contains_key(full);
        Self(places.iter().map(|(full, file)| (full.clone(), Module::read(full, file, &known))).collect())
    }

    /// The imports of one file by another, each pair once.
    pub fn imports(&self) -> Vec<Import> {
        let mut seen = BTreeSet::new();
        let mut imports = Vec::new();
        for module in self.0.values() {
            for (line, path) in &module.paths {
                let Some((to, _)) = self.resolve(path, 8) else { continue };
                if *to != module.file && seen.insert((&module.file, to)) {
                    imports.push(Import { from: module.file.clone(), line: *line, to: to.clone() });
                }
            }
        }
        imports
    }

    /// The file that defines what a path names, and whether it really has that name.
    fn resolve(&self, (root, names): &Full, depth: usize) -> Option<(&String, bool)> {
        let mut here: Full = (root, Vec::new());
        for (n, name) in names.iter().enumerate() {
            here.1.push(name.clone());
            if self.0.contains_key(&here) {
                continue;
            }
            here.1.pop();
            let module = self.0.get(&here)?;
            if module.defined.contains(name) || depth == 0 {
                return Some((&module.file, depth > 0));
            }
            let rest = |full: &Full, skip: usize| (full.0, [&full.1[..], &names[n + skip..]].concat());
            if let Some(full) = module.bound.get(name) {
                return self.resolve(&rest(full, 1), depth - 1);
            }
            let by_glob = module
                .globs
                .iter()
                .find_map(|full| self.resolve(&rest(full, 0), depth - 1).filter(|(_, defined)| *defined));
            return by_glob.or(Some((&module.file, false)));
        }
        Some((&self.0.get(&here)?.file, true))
    }
}

impl Module {
    fn read(full: &Full, file: &Source, known: &dyn Fn(&Full) -> bool) -> Self {
        let code = rust::without_tests(&file.parts().code);
        let tokens = tokens(&code);
        let mut module = Self {
            file: file.path.clone(),
            bound: BTreeMap::new(),
            globs: Vec::new(),
            defined: defined(&tokens),
            paths: Vec::new(),
        };
        let start = |name: &str| start(full, name, known);
        let mut used = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at].1 == "use" && tokens.get(at + 1).is_some_and(|next| next.1 != "<") {
                at = use_tree(&tokens, at + 1, &[], &mut used);
            }
            at += 1;
        }
        for Used { line, mut path, name } in used {
            let Some((root, mut names)) = start(&path[0]) else { continue };
            let glob = name == "*";
            names.extend(path.drain(1..));
            // `self::` and `super::` again, as in `super::super::x`.
            module.paths.push((line, (root, names.clone())));
            if glob {
                module.globs.push((root, names));
            } else if names.last() != Some(&name) || full.1 != names[..names.len() - 1] {
                module.bound.insert(name, (root, names));
            }
        }
        for (line, names) in inline(&tokens) {
            let first = names[0].as_str();
            let head = module.bound.get(first).cloned().or_else(|| start(first));
            let Some((root, mut path)) = head else { continue };
            path.extend(names[1..].iter().cloned());
            module.paths.push((line, (root, path)));
        }
        module
    }
}

/// What the first name of a path stands for, if it is of the project.
fn start((root, here): &Full, name: &str, known: &dyn Fn(&Full) -> bool) -> Option<Full> {
    match name {
        "crate" => return Some((root, Vec::new())),
        "self" => return Some((root, here.clone())),
        _ => {}
    }
    if let Some(up) = name.strip_prefix("super") {
        // `super`, or as many as there are: `supersuper`.
        let levels = 1 + up.matches("super").count();
        return Some((root, here[..here.len().saturating_sub(levels)].to_vec()));
    }
    if let Some((root, _)) = CRATES.iter().find(|(_, called)| *called == name) {
        return Some((root, Vec::new()));
    }
    let child: Full = (root, [&here[..], &[name.to_owned()]].concat());
    known(&child).then_some(child)
}

/// One leaf of a `use`: where, what, and under which name; `*` for all that is in it.
struct Used {
    line: usize,
    path: Vec<String>,
    name: String,
}

/// Reads a `use` tree from a place in the tokens on, and tells where it ends.
fn use_tree(tokens: &[(usize, &str)], mut at: usize, before: &[String], used: &mut Vec<Used>) -> usize {
    let mut path = before.to_vec();
    let mut name = None;
    while let Some((line, token)) = tokens.get(at) {
        match *token {
            "::" => {}
            "{" => {
                at = use_tree(tokens, at + 1, &path, used);
                while tokens.get(at).is_some_and(|token| token.1 == ",") {
                    at = use_tree(tokens, at + 1, &path, used);
                }
                return at + 1;
            }
            "as" => {
                name = tokens.get(at + 1).map(|token| token.1.to_owned());
                at += 1;
            }
            "*" => name = Some("*".to_owned()),
            "," | "}" | ";" => {
                if path.len() > before.len() || name.is_some() {
                    let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
                    used.push(Used { line: *line, path, name });
                }
                return at;
            }
            "self" if !path.is_empty() => name = path.last().cloned(),
            token => push(&mut path, token),
        }
        at += 1;
    }
    at
}

/// Adds a name; a chain of `super` becomes one name.
fn push(path: &mut Vec<String>, name: &str) {
    match path.last_mut() {
        Some(last) if name == "super" && last.starts_with("super") => last.push_str(name),
        _ => path.push(name.to_owned()),
    }
}

/// The paths of more than one name outside `use`.
fn inline(tokens: &[(usize, &str)]) -> Vec<(usize, Vec<String>)> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let (line, token) = tokens[at];
        if !is_name(token) {
            at += 1;
            continue;
        }
        let mut path = vec![token.to_owned()];
        while tokens.get(at + 1).is_some_and(|t| t.1 == "::")
            && tokens.get(at + 2).is_some_and(|t| is_name(t.1))
        {
            push(&mut path, tokens[at + 2].1);
            at += 2;
        }
        at += 1;
        if path.len() > 1 {
            paths.push((line, path));
        }
    }
    paths
}

/// The names that a file defines outside all braces.
fn defined(tokens: &[(usize, &str)]) -> BTreeSet<String> {
    const ITEMS: [&str; 9] =
        ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules"];
    let (mut depth, mut defined) = (0, BTreeSet::new());
    for (at, (_, token)) in tokens.iter().enumerate() {
        match *token {
            "{" => depth += 1,
            "}" => depth -= 1,
            item if depth == 0 && ITEMS.contains(&item) => {
                let name = tokens[at + 1..]
                    .iter()
                    .map(|token| token.1)
                    .find(|token| is_name(token) && *token != "fn");
                defined.extend(name.map(str::to_owned));
            }
            _ => {}
        }
    }
    defined
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single signs, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (n, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push((n + 1, &rest[..length]));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}
