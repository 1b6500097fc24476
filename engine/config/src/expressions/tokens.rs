//! The few tokens of Python that the expressions are made of.

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// An identifier or keyword.
    Name(&'a str),
    /// A whole number.
    Number(&'a str),
    /// The text of `'…'` or `"…"`. No escapes: keys have none.
    Text(&'a str),
    /// The text of `f'…'`.
    Format(&'a str),
    /// Anything else.
    Symbol(char),
}

/// Splits an expression into tokens; `None` when a string is not closed.
pub(super) fn tokenize(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\'' | '"' => {
                let end = 1 + rest[1..].find(c)?;
                tokens.push(Token::Text(&rest[1..end]));
                end + 1
            }
            'f' if rest[1..].starts_with(['\'', '"']) => {
                let quote = rest.as_bytes()[1] as char;
                let end = 2 + rest[2..].find(quote)?;
                tokens.push(Token::Format(&rest[2..end]));
                end + 1
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                tokens.push(Token::Name(&rest[..end]));
                end
            }
            c if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                tokens.push(Token::Number(&rest[..end]));
                end
            }
            symbol => {
                tokens.push(Token::Symbol(symbol));
                symbol.len_utf8()
            }
        };
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}
