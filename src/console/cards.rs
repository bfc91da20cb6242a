//! Tables on a narrow screen: each row becomes a card, whose cells say what they are.
//!
//! The style sheet shows `data-label` in front of a cell. The labels are the heads of the columns, so
//! that pages write a table once. They are set here, on the server, for every table of a page: cards
//! need no script.

/// The attribute that a cell's label is in.
const LABEL: &str = " data-label=\"";

/// The page, with the head of its column on each cell of its tables. A page is what `maud` renders:
/// every tag is closed, and no text holds `<` or `"`.
pub(super) fn label_cells(page: &str) -> String {
    let mut out = String::with_capacity(page.len() + page.len() / 8);
    let (mut heads, mut is_head, mut column) = (Vec::<&str>::new(), false, 0);
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let (text, from) = rest.split_at(at);
        let (tag, after) = from.split_at(from.find('>').map_or(from.len(), |end| end + 1));
        out.push_str(text);
        match name(tag) {
            "table" => heads.clear(),
            "thead" => is_head = true,
            "/thead" => is_head = false,
            "tr" => column = 0,
            "th" if is_head => {
                let head = after.split("</th>").next().unwrap_or_default();
                heads.extend(std::iter::repeat_n(plain(head), columns(tag)));
            }
            "th" => column += columns(tag),
            "td" => {
                let label = heads.get(column).filter(|label| !label.is_empty());
                column += columns(tag);
                if let Some(label) = label {
                    out.extend(["<td", LABEL, label, "\"", &tag["<td".len()..]]);
                    rest = after;
                    continue;
                }
            }
            _ => {}
        }
        out.push_str(tag);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A tag's name, with the slash of one that closes.
fn name(tag: &str) -> &str {
    tag.trim_start_matches('<').split([' ', '>']).next().unwrap_or_default()
}

/// How many columns a cell takes.
fn columns(tag: &str) -> usize {
    let span = tag.split("colspan=\"").nth(1).and_then(|rest| rest.split('"').next());
    span.and_then(|span| span.parse().ok()).unwrap_or(1)
}

/// A head's text, as far as it is no markup: heads are words, of which one may stand in an element.
fn plain(head: &str) -> &str {
    let inner =
        if head.starts_with('<') { head.split_once('>').map_or("", |(_, inner)| inner) } else { head };
    inner.split('<').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::label_cells;

    #[test]
    fn cells_have_the_heads_of_their_columns() {
        let table = "<p>1 &lt; 2</p><table><thead><tr><th scope=\"col\">When</th><th scope=\"col\"><span>Who</span></th>\
                     <th></th></tr></thead><tbody><tr><td>now</td><td class=\"id\">ops</td><td>-</td></tr></tbody></table>";
        let labelled = label_cells(table);
        assert!(labelled.contains("<td data-label=\"When\">now</td>"), "{labelled}");
        assert!(labelled.contains("<td data-label=\"Who\" class=\"id\">ops</td><td>-</td>"), "{labelled}");
        assert!(labelled.starts_with("<p>1 &lt; 2</p>"));
    }

    #[test]
    fn columns_are_counted_over_row_heads_and_wide_cells() {
        let table = "<table><thead><tr><th>A</th><th>B</th><th>C</th></tr></thead><tbody>\
                     <tr><th scope=\"row\">a</th><td>b</td><td>c</td></tr>\
                     <tr><td colspan=\"2\">ab</td><td>c</td></tr></tbody></table>\
                     <table><tbody><tr><td>alone</td></tr></tbody></table>";
        let labelled = label_cells(table);
        assert!(
            labelled.contains("a</th><td data-label=\"B\">b</td><td data-label=\"C\">c</td>"),
            "{labelled}"
        );
        assert!(
            labelled.contains("<td data-label=\"A\" colspan=\"2\">ab</td><td data-label=\"C\">c"),
            "{labelled}"
        );
        assert!(labelled.contains("<td>alone</td>"), "a table without heads has no labels");
    }

    #[test]
    fn what_is_no_whole_page_comes_back_as_it_is() {
        for text in ["", "no tag", "<", "<td", "a < b", "<td>x", "</td>"] {
            assert_eq!(label_cells(text), text);
        }
    }
}
