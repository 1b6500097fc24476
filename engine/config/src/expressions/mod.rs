//! The expressions of published configs, without Python.
//!
//! Clara evaluated any string that starts with `#` or `lambda`. The census of published Clara 4.x configs (§2.5) has
//! twenty distinct ones; these and the two of the migration guide are read here by their structure, in any spacing and
//! quotes. The two that import MONAI in place have a documented replacement; everything else is refused.

#[cfg(test)]
mod tests;
mod tokens;

use serde::Serialize;
use serde_json::{Value as Json, json};

use tokens::{Token, tokenize};

/// What an expression means; the JSON form is the one that `byoc::Expression` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Expression {
    /// `#@model.parameters()`
    Parameters {
        /// The object: `model`.
        object: String,
    },
    /// `#monai.handlers.from_engine(['pred', 'label'], first=False)`
    FromEngine {
        /// The keys.
        keys: Vec<String>,
        /// Only the first item.
        first: bool,
    },
    /// `lambda x: None`
    Nothing,
    /// `lambda x: x['loss']`
    Key {
        /// The key.
        key: String,
    },
    /// `lambda x: (x['pred'], x['label'])`
    Keys {
        /// The keys.
        keys: Vec<String>,
    },
    /// `lambda x: x[0]['loss']`
    FirstItemKey {
        /// The key.
        key: String,
    },
    /// `lambda x: ([i['pred'] for i in x], [i['label'] for i in x])`
    EachItemKeys {
        /// The keys.
        keys: Vec<String>,
    },
    /// `lambda engine: print(f'iter: …') if engine.state.iteration % 10 == 0 else None`
    PrintEvery {
        /// Print at every so many iterations.
        interval: u64,
        /// Whether the name of the first image is printed, too.
        image_name: bool,
    },
}

impl Expression {
    /// `{"$expression": {"form": …}}`
    pub fn to_json(&self) -> Json {
        json!({ "$expression": self })
    }
}

/// The forms that work, one a line, for messages.
pub(crate) const FORMS: [&str; 8] = [
    "#@model.parameters()",
    "#monai.handlers.from_engine(['pred', 'label'])",
    "#monai.handlers.from_engine(['loss'], first=True)",
    "lambda x: None",
    "lambda x: x['loss']",
    "lambda x: (x['pred'], x['label'])",
    "lambda x: x[0]['loss']",
    "lambda x: ([i['pred'] for i in x], [i['label'] for i in x])",
];

/// Why a string is no expression that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// What to write instead, where that is known.
    pub(crate) replacement: Option<String>,
}

/// Whether Clara would have evaluated the string.
pub(crate) fn is_expression(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('#')
        || text.strip_prefix("lambda").is_some_and(|rest| rest.starts_with([' ', '\t', ':']) && rest.contains(':'))
}

/// Reads an expression.
pub(crate) fn parse(text: &str) -> Result<Expression, Unsupported> {
    let tokens = tokenize(text).unwrap_or_default();
    let mut reader = Reader { tokens: &tokens, at: 0 };
    let expression = match reader.next() {
        Some(Token::Symbol('#')) => reader.hash(),
        Some(Token::Name("lambda")) => reader.lambda(),
        _ => None,
    };
    expression.filter(|_| reader.at == tokens.len()).ok_or_else(|| Unsupported { replacement: replacement(text) })
}

/// What the migration guide and the census say to write instead.
fn replacement(text: &str) -> Option<String> {
    if text.contains("__import__") && text.contains("AsDiscrete") {
        let label = if text.contains("'label'") || text.contains("\"label\"") { ", 'label'" } else { "" };
        return Some(format!(
            "add {{\"name\": \"AsDiscreted\", \"args\": {{\"keys\": \"pred_inverted\", \"threshold_values\": true}}}} to \
             `post_transforms`, and write \"#monai.handlers.from_engine(['pred_inverted'{label}])\" here"
        ));
    }
    if let Some(object) = text.trim().strip_prefix('#').map(str::trim).and_then(crate::references::parse) {
        return Some(format!("to name an object write \"@{object}\", without `#`"));
    }
    None
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).copied()?;
        self.at += 1;
        Some(token)
    }

    fn symbols(&mut self, symbols: &str) -> Option<()> {
        symbols.chars().try_for_each(|symbol| self.take(Token::Symbol(symbol)))
    }

    fn take(&mut self, expected: Token<'_>) -> Option<()> {
        (self.tokens.get(self.at) == Some(&expected)).then(|| self.at += 1)
    }

    fn name(&mut self) -> Option<&'a str> {
        match self.next()? {
            Token::Name(name) => Some(name),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        match self.next()? {
            Token::Text(text) => Some(text.to_owned()),
            _ => None,
        }
    }

    /// Tries a reading; goes back when it fails.
    fn attempt<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let start = self.at;
        let result = read(self);
        if result.is_none() {
            self.at = start;
        }
        result
    }

    /// After `#`.
    fn hash(&mut self) -> Option<Expression> {
        self.attempt(Self::parameters).or_else(|| self.attempt(Self::engine_keys))
    }

    /// `@model.parameters()`
    fn parameters(&mut self) -> Option<Expression> {
        self.symbols("@")?;
        let object = self.name()?.to_owned();
        self.symbols(".")?;
        self.take(Token::Name("parameters"))?;
        self.symbols("()")?;
        Some(Expression::Parameters { object })
    }

    /// `monai.handlers.from_engine(keys, first=False)`
    fn engine_keys(&mut self) -> Option<Expression> {
        let mut path = vec![self.name()?];
        while self.take(Token::Symbol('.')).is_some() {
            path.push(self.name()?);
        }
        matches!(
            path.as_slice(),
            ["from_engine"] | ["monai", "handlers", "from_engine"] | ["monai", "handlers", "utils", "from_engine"]
        )
        .then_some(())?;
        self.symbols("(")?;
        self.attempt(|reader| {
            reader.take(Token::Name("keys"))?;
            reader.symbols("=")
        });
        let keys = self.keys()?;
        let mut first = false;
        if self.take(Token::Symbol(',')).is_some() && self.tokens.get(self.at) != Some(&Token::Symbol(')')) {
            self.attempt(|reader| {
                reader.take(Token::Name("first"))?;
                reader.symbols("=")
            });
            first = match self.name()? {
                "True" => true,
                "False" => false,
                _ => return None,
            };
            self.take(Token::Symbol(','));
        }
        self.symbols(")")?;
        Some(Expression::FromEngine { keys, first })
    }

    /// `'loss'`, `['pred', 'label']` or `('pred', 'label')`
    fn keys(&mut self) -> Option<Vec<String>> {
        if let Some(key) = self.attempt(Self::text) {
            return Some(vec![key]);
        }
        let close = match self.next()? {
            Token::Symbol('[') => ']',
            Token::Symbol('(') => ')',
            _ => return None,
        };
        let mut keys = vec![self.text()?];
        while self.take(Token::Symbol(',')).is_some() {
            if self.tokens.get(self.at) == Some(&Token::Symbol(close)) {
                break;
            }
            keys.push(self.text()?);
        }
        self.take(Token::Symbol(close))?;
        Some(keys)
    }

    /// After `lambda`.
    fn lambda(&mut self) -> Option<Expression> {
        let variable = self.name()?;
        self.symbols(":")?;
        self.attempt(|reader| reader.take(Token::Name("None")).map(|()| Expression::Nothing))
            .or_else(|| self.attempt(|reader| reader.print(variable)))
            .or_else(|| self.attempt(|reader| reader.first_item_key(variable)))
            .or_else(|| self.attempt(|reader| reader.item(variable).map(|key| Expression::Key { key })))
            .or_else(|| {
                self.attempt(|reader| {
                    reader.tuple(|reader| reader.item(variable)).map(|keys| Expression::Keys { keys })
                })
            })
            .or_else(|| {
                self.attempt(|reader| {
                    reader.tuple(|reader| reader.each_item(variable)).map(|keys| Expression::EachItemKeys { keys })
                })
            })
    }

    /// `x['loss']`
    fn item(&mut self, variable: &str) -> Option<String> {
        self.take(Token::Name(variable))?;
        self.symbols("[")?;
        let key = self.text()?;
        self.symbols("]")?;
        Some(key)
    }

    /// `x[0]['loss']`
    fn first_item_key(&mut self, variable: &str) -> Option<Expression> {
        self.take(Token::Name(variable))?;
        self.symbols("[")?;
        self.take(Token::Number("0"))?;
        self.symbols("][")?;
        let key = self.text()?;
        self.symbols("]")?;
        Some(Expression::FirstItemKey { key })
    }

    /// `[i['pred'] for i in x]`
    fn each_item(&mut self, variable: &str) -> Option<String> {
        self.symbols("[")?;
        let item = match self.tokens.get(self.at)? {
            Token::Name(name) if *name != variable => *name,
            _ => return None,
        };
        let key = self.item(item)?;
        self.take(Token::Name("for"))?;
        self.take(Token::Name(item))?;
        self.take(Token::Name("in"))?;
        self.take(Token::Name(variable))?;
        self.symbols("]")?;
        Some(key)
    }

    /// `(a, b)`
    fn tuple<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.symbols("(")?;
        let mut elements = vec![element(self)?];
        while self.take(Token::Symbol(',')).is_some() {
            if self.tokens.get(self.at) == Some(&Token::Symbol(')')) {
                break;
            }
            elements.push(element(self)?);
        }
        self.symbols(")")?;
        (elements.len() > 1).then_some(elements)
    }

    /// `print(f'iter: {engine.state.iteration}/…') if engine.state.iteration % 10 == 0 else None`
    fn print(&mut self, variable: &str) -> Option<Expression> {
        self.take(Token::Name("print"))?;
        self.symbols("(")?;
        let Token::Format(format) = self.next()? else { return None };
        let image_name = format_names_image(format, variable)?;
        self.symbols(")")?;
        let condition = self.attempt(|reader| {
            reader.take(Token::Name("if"))?;
            reader.take(Token::Name(variable))?;
            reader.symbols(".")?;
            reader.take(Token::Name("state"))?;
            reader.symbols(".")?;
            reader.take(Token::Name("iteration"))?;
            reader.symbols("%")?;
            let Token::Number(interval) = reader.next()? else { return None };
            reader.symbols("==")?;
            reader.take(Token::Number("0"))?;
            reader.take(Token::Name("else"))?;
            reader.take(Token::Name("None"))?;
            interval.parse().ok().filter(|&interval: &u64| interval > 0)
        });
        Some(Expression::PrintEvery { interval: condition.unwrap_or(1), image_name })
    }
}

/// Whether an f-string prints the name of the image; `None` if it prints anything unknown.
fn format_names_image(format: &str, variable: &str) -> Option<bool> {
    let mut image_name = false;
    let mut rest = format;
    while let Some(open) = rest.find('{') {
        let close = open + rest[open..].find('}')?;
        let field: String = rest[open + 1..close].chars().filter(|c| !c.is_whitespace()).collect();
        let field = field.strip_prefix(variable)?.strip_prefix(".state.")?.replace('"', "'");
        match field.as_str() {
            "iteration" | "epoch_length" | "epoch" | "max_epochs" => {}
            "batch['name'][0]" => image_name = true,
            _ => return None,
        }
        rest = &rest[close + 1..];
    }
    Some(image_name)
}
