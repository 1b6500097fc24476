//! Strings and numbers of JSON and of Python.

use serde_json::Number;

/// What is wrong inside a string.
#[derive(Debug)]
pub(super) struct StringProblem {
    /// Byte offset in the string.
    pub(super) at: usize,
    /// Bytes.
    pub(super) length: usize,
    pub(super) message: String,
    /// The text without the faulty part.
    pub(super) recovered: String,
}

/// The text that a JSON string stands for; `raw` is what is between the quotes.
pub(super) fn unescape(raw: &str) -> Result<String, StringProblem> {
    let mut text = String::with_capacity(raw.len());
    let mut problem: Option<(usize, usize, String)> = None;
    let mut chars = raw.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                let escape = chars.next().map(|(_, c)| c);
                match escape {
                    Some(c @ ('"' | '\\' | '/')) => text.push(c),
                    Some('b') => text.push('\u{8}'),
                    Some('f') => text.push('\u{c}'),
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('u') => {
                        if let Some((c, length)) = unicode_escape(&raw[at..]) {
                            text.push(c);
                            // what follows `\u` is ASCII: characters are bytes
                            for _ in 2..length {
                                chars.next();
                            }
                        } else {
                            let length = raw[at..].chars().take(6).map(char::len_utf8).sum();
                            let message = "`\\u` needs four hexadecimal digits that make a character";
                            problem.get_or_insert((at, length, message.into()));
                        }
                    }
                    other => {
                        let length = 1 + other.map_or(0, char::len_utf8);
                        let found = other.map(String::from).unwrap_or_default();
                        let message =
                            format!("`\\{found}` is not an escape of JSON; a backslash itself is written `\\\\`");
                        problem.get_or_insert((at, length, message));
                        text.push('\\');
                        text.extend(other);
                    }
                }
            }
            c if c < ' ' => {
                problem.get_or_insert((
                    at,
                    1,
                    "a control character, such as a tab, must be escaped in a string: `\\t`".into(),
                ));
                text.push(c);
            }
            c => text.push(c),
        }
    }
    match problem {
        None => Ok(text),
        Some((at, length, message)) => Err(StringProblem { at, length, message, recovered: text }),
    }
}

/// The character of `\uXXXX` or of a pair of surrogates, and how many bytes that is.
fn unicode_escape(raw: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = raw.get(at..at + 6)?.strip_prefix("\\u")?;
        digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let first = unit(0)?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some((c, 6));
    }
    let decoded = char::decode_utf16([first, unit(6)?]).next()?.ok()?;
    Some((decoded, 12))
}

/// A number that Python reads and JSON does not: `.5`, `5.`, `+1`, `1_000`, `007`.
pub(crate) fn python_number(spelled: &str) -> Option<Number> {
    let plain = spelled.replace('_', "");
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    if !plain.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '.')) {
        return None;
    }
    if let Ok(integer) = plain.parse::<i64>() {
        return Some(integer.into());
    }
    plain.parse::<f64>().ok().and_then(Number::from_f64)
}
