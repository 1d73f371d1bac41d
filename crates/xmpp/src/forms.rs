//! Forms: questions with typed answers (XEP-0004), their types (XEP-0068) and the ranges of their
//! values (XEP-0122).
//!
//! A [`Form`] is read and written as it stands; [`Form::check`] holds what somebody submitted
//! against the form that was asked.

use std::collections::BTreeSet;

use jid::Jid;

use crate::{
    stanza::{Condition, StanzaError},
    xml::{Element, Markup},
};

/// The namespace.
pub const NS: &str = "jabber:x:data";
/// Ranges of values.
pub const VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";

/// Fields that one form may have.
const FIELDS: usize = 500;
/// Values and options that one field may have.
const VALUES: usize = 2000;

/// What a form is for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FormKind {
    /// The question is withdrawn.
    Cancel,
    /// A question.
    #[default]
    Form,
    /// Data, nothing asked.
    Result,
    /// An answer.
    Submit,
}

/// What may stand in a field.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FieldKind {
    /// Yes or no.
    Boolean,
    /// Text for people, not a question.
    Fixed,
    /// Returned as it is, never shown.
    Hidden,
    /// Addresses.
    JidMulti,
    /// An address.
    JidSingle,
    /// Some of the options.
    ListMulti,
    /// One of the options.
    ListSingle,
    /// Lines of text.
    TextMulti,
    /// A line of text that is not shown.
    TextPrivate,
    /// A line of text.
    #[default]
    TextSingle,
}

/// Which values a field takes (XEP-0122).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Validation {
    /// The data type, such as `xs:integer`; empty stands for `xs:string`.
    pub datatype: String,
    /// Values beside the options are welcome.
    pub open: bool,
    /// The smallest and the largest number.
    pub range: Option<(i64, i64)>,
}

/// One question, answer or datum.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Field {
    /// Its name, empty in fixed fields only.
    pub name: String,
    /// What may stand in it; answers may leave that out.
    pub kind: Option<FieldKind>,
    /// What people read in place of the name.
    pub label: Option<String>,
    /// What people read beside it.
    pub description: Option<String>,
    /// Whether an answer has to have it.
    pub required: bool,
    /// What may be chosen: values, each with a label if it has one.
    pub options: Vec<(String, Option<String>)>,
    /// What stands in it.
    pub values: Vec<String>,
    /// What else is known about the values.
    pub validation: Option<Validation>,
}

/// A form.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Form {
    /// What it is for.
    pub kind: FormKind,
    /// What people read above it.
    pub title: Option<String>,
    /// What people are told to do.
    pub instructions: Option<String>,
    /// The fields, `FORM_TYPE` among them.
    pub fields: Vec<Field>,
    /// The columns of a table, if it is one.
    pub reported: Vec<Field>,
    /// The rows of the table.
    pub items: Vec<Vec<Field>>,
}

impl Field {
    /// A field of that kind without a value.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: FieldKind) -> Self {
        Self {
            name: name.into(),
            kind: Some(kind),
            ..Self::default()
        }
    }

    /// A line of text.
    #[must_use]
    pub fn text(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, FieldKind::TextSingle).value(value)
    }

    /// Yes or no.
    #[must_use]
    pub fn flag(name: impl Into<String>, value: bool) -> Self {
        Self::new(name, FieldKind::Boolean).value(if value { "1" } else { "0" })
    }

    /// One of these values, each with its label.
    #[must_use]
    pub fn choice(name: impl Into<String>, value: &str, options: &[(&str, &str)]) -> Self {
        let mut field = Self::new(name, FieldKind::ListSingle).value(value);
        let owned =
            |(value, label): &(&str, &str)| ((*value).to_owned(), Some((*label).to_owned()));
        field.options = options.iter().map(owned).collect();
        field
    }

    /// The same field with another value.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The same field with more values.
    #[must_use]
    pub fn values(mut self, values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// The same field with what people read in place of its name.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same field, which an answer has to have.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The first value, empty if there is none.
    #[must_use]
    pub fn first(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    fn read(element: &Element, named: bool) -> Result<Self, StanzaError> {
        let kind = element
            .attribute("type")
            .map(|name| FieldKind::from_name(name).unwrap_or_default());
        let name = element.attribute("var").unwrap_or_default().to_owned();
        if named && name.is_empty() && kind != Some(FieldKind::Fixed) {
            return Err(bad("a field of a form has no \"var\""));
        }
        if element.children().len() > VALUES {
            return Err(bad(format!("the field {name} has too many values")));
        }
        let texts = |of: &Element, local: &str| -> Vec<String> {
            of.open_children(NS, local)
                .filter_map(|value| value.text().ok())
                .collect()
        };
        let options = element.open_children(NS, "option").map(|option| {
            let value = texts(&option, "value").into_iter().next();
            let label = option.attribute("label").map(str::to_owned);
            (value.unwrap_or_default(), label)
        });
        Ok(Self {
            kind,
            label: element.attribute("label").map(str::to_owned),
            description: element.text_of(NS, "desc"),
            required: element.child(NS, "required").is_some(),
            options: options.collect(),
            values: texts(element, "value"),
            validation: element
                .open_child(VALIDATE, "validate")
                .map(|element| Validation::read(&element)),
            name,
        })
    }

    fn write(&self, out: &mut Markup) {
        out.open("field");
        if !self.name.is_empty() {
            out.attribute("var", &self.name);
        }
        out.maybe("type", self.kind.map(FieldKind::name));
        out.maybe("label", self.label.as_deref());
        if let Some(description) = &self.description {
            out.with_text("desc", description);
        }
        if self.required {
            out.open("required").end();
        }
        if let Some(validation) = &self.validation {
            validation.write(out);
        }
        for value in &self.values {
            out.with_text("value", value);
        }
        for (value, label) in &self.options {
            out.open("option").maybe("label", label.as_deref());
            out.with_text("value", value).close("option");
        }
        out.close("field");
    }

    /// Whether these values may stand in this field of a question.
    fn check(&self, values: &[String]) -> Result<(), StanzaError> {
        let kind = self.kind.unwrap_or_default();
        let wrong = |value: &str| {
            let text = format!("{} cannot be {value:?}", self.name);
            Err(StanzaError::new(Condition::NotAcceptable).text(text))
        };
        if values.len() > 1 && !kind.is_multi() {
            let text = format!("{} has one value", self.name);
            return Err(StanzaError::new(Condition::NotAcceptable).text(text));
        }
        let any = self.validation.as_ref().is_some_and(|rule| rule.open);
        let chooses = matches!(kind, FieldKind::ListMulti | FieldKind::ListSingle) && !any;
        for value in values {
            let fits = match kind {
                FieldKind::Boolean => boolean(value).is_some(),
                FieldKind::JidMulti | FieldKind::JidSingle => {
                    value.is_empty() && !self.required || Jid::new(value).is_ok()
                }
                _ if chooses && !self.options.is_empty() => {
                    self.options.iter().any(|(option, _)| option == value)
                }
                _ => self
                    .validation
                    .as_ref()
                    .is_none_or(|rule| rule.takes(value)),
            };
            if !fits {
                return wrong(value);
            }
        }
        Ok(())
    }
}

impl Form {
    /// A form of that kind and that type.
    #[must_use]
    pub fn new(kind: FormKind, form_type: &str) -> Self {
        Self {
            kind,
            fields: vec![Field::new("FORM_TYPE", FieldKind::Hidden).value(form_type)],
            ..Self::default()
        }
    }

    /// The same form with a field at the end.
    #[must_use]
    pub fn with(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// The same form with what people read above it.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The same form with what people are told to do.
    #[must_use]
    pub fn instructions(mut self, instructions: impl Into<String>) -> Self {
        self.instructions = Some(instructions.into());
        self
    }

    /// Reads an `x`.
    ///
    /// # Errors
    ///
    /// `bad-request` for a type that is none, fields without a name, more of anything than may be, and
    /// several form types.
    pub fn read(x: &Element) -> Result<Self, StanzaError> {
        let kind = match x.attribute("type") {
            Some("cancel") => FormKind::Cancel,
            Some("form") => FormKind::Form,
            Some("result") => FormKind::Result,
            Some("submit") => FormKind::Submit,
            other => {
                return Err(bad(format!(
                    "no form has the type {:?}",
                    other.unwrap_or("")
                )));
            }
        };
        let fields_of = |of: &Element, named: bool| -> Result<Vec<Field>, StanzaError> {
            if of.children().len() > FIELDS {
                return Err(bad("a form has too many fields"));
            }
            of.open_children(NS, "field")
                .map(|field| Field::read(&field, named))
                .collect()
        };
        let form = Self {
            kind,
            title: x.text_of(NS, "title"),
            instructions: x.text_of(NS, "instructions"),
            fields: fields_of(x, true)?,
            reported: match x.open_child(NS, "reported") {
                Some(reported) => fields_of(&reported, true)?,
                None => Vec::new(),
            },
            items: x
                .open_children(NS, "item")
                .map(|item| fields_of(&item, true))
                .collect::<Result<_, _>>()?,
        };
        let types = form.fields.iter().filter(|field| field.name == "FORM_TYPE");
        if types.count() > 1 {
            return Err(bad("a form has one FORM_TYPE"));
        }
        Ok(form)
    }

    /// The form in an element, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn in_element(element: &Element) -> Result<Option<Self>, StanzaError> {
        element
            .open_child(NS, "x")
            .map(|x| Self::read(&x))
            .transpose()
    }

    /// Writes the `x`.
    pub fn write(&self, out: &mut Markup) {
        out.open("x").attribute("xmlns", NS);
        out.attribute("type", self.kind.name());
        if let Some(title) = &self.title {
            out.with_text("title", title);
        }
        if let Some(instructions) = &self.instructions {
            out.with_text("instructions", instructions);
        }
        if !self.reported.is_empty() {
            out.open("reported");
            self.reported.iter().for_each(|field| field.write(out));
            out.close("reported");
        }
        self.fields.iter().for_each(|field| field.write(out));
        for item in &self.items {
            out.open("item");
            item.iter().for_each(|field| field.write(out));
            out.close("item");
        }
        out.close("x");
    }

    /// What its fields belong to (XEP-0068). In what is asked or told, only a hidden field says so.
    #[must_use]
    pub fn form_type(&self) -> Option<&str> {
        let field = self.field("FORM_TYPE")?;
        let says_so = match self.kind {
            FormKind::Cancel => false,
            FormKind::Form | FormKind::Result => field.kind == Some(FieldKind::Hidden),
            FormKind::Submit => true,
        };
        says_so.then(|| field.first())
    }

    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The first value of the field of that name; `None` when it is missing or has none.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.field(name)?.values.first().map(String::as_str)
    }

    /// The values of the field of that name.
    #[must_use]
    pub fn values(&self, name: &str) -> &[String] {
        self.field(name).map_or(&[], |field| &field.values)
    }

    /// What the field of that name says, yes or no.
    ///
    /// # Errors
    ///
    /// `not-acceptable` for anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, StanzaError> {
        self.parsed(name, boolean)
    }

    /// The number in the field of that name.
    ///
    /// # Errors
    ///
    /// `not-acceptable` for what is none.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, StanzaError> {
        self.parsed(name, |value| value.trim().parse().ok())
    }

    /// The address in the field of that name.
    ///
    /// # Errors
    ///
    /// `not-acceptable` for what is none.
    pub fn address(&self, name: &str) -> Result<Option<Jid>, StanzaError> {
        self.parsed(name, |value| Jid::new(value.trim()).ok())
    }

    fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, StanzaError> {
        match self.value(name) {
            None | Some("") => Ok(None),
            Some(value) => parse(value).map(Some).ok_or_else(|| {
                let text = format!("{name} cannot be {value:?}");
                StanzaError::new(Condition::NotAcceptable).text(text)
            }),
        }
    }

    /// Holds an answer against this question: every field asked for stands in the result, with what was
    /// answered or else what stood in the question; fields nobody asked for are left out.
    ///
    /// # Errors
    ///
    /// `not-acceptable` with the field named for a value it cannot have or one that is missing;
    /// `bad-request` for the answer to another form.
    pub fn check(&self, answer: &Self) -> Result<Self, StanzaError> {
        if answer.kind != FormKind::Submit {
            return Err(bad("the form is not submitted"));
        }
        if answer.form_type().is_some() && answer.form_type() != self.form_type() {
            return Err(bad("this is the answer to another form"));
        }
        let mut checked = Self {
            kind: FormKind::Submit,
            ..Self::default()
        };
        for asked in &self.fields {
            if asked.kind == Some(FieldKind::Fixed) {
                continue;
            }
            let mut field = asked.clone();
            let given = answer.field(&asked.name);
            if let Some(given) = given.filter(|_| asked.kind != Some(FieldKind::Hidden)) {
                asked.check(&given.values)?;
                field.values.clone_from(&given.values);
            }
            if asked.required && field.values.iter().all(String::is_empty) {
                let text = format!("{} is missing", asked.name);
                return Err(StanzaError::new(Condition::NotAcceptable).text(text));
            }
            checked.fields.push(field);
        }
        Ok(checked)
    }

    /// The names of all fields, without `FORM_TYPE`.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        let names = self.fields.iter().map(|field| field.name.as_str());
        names.filter(|name| *name != "FORM_TYPE").collect()
    }
}

impl Validation {
    /// Whole numbers from `least` to `most`.
    #[must_use]
    pub fn integers(least: i64, most: i64) -> Self {
        Self {
            datatype: "xs:integer".to_owned(),
            open: false,
            range: Some((least, most)),
        }
    }

    fn read(element: &Element) -> Self {
        let number = |element: &Element, name: &str| element.attribute(name)?.parse().ok();
        let range = element.open_child(VALIDATE, "range").map(|range| {
            (
                number(&range, "min").unwrap_or(i64::MIN),
                number(&range, "max").unwrap_or(i64::MAX),
            )
        });
        Self {
            datatype: element.attribute("datatype").unwrap_or_default().to_owned(),
            open: element.child(VALIDATE, "open").is_some(),
            range,
        }
    }

    fn write(&self, out: &mut Markup) {
        out.open("validate").attribute("xmlns", VALIDATE);
        if !self.datatype.is_empty() {
            out.attribute("datatype", &self.datatype);
        }
        match self.range {
            Some((least, most)) => out
                .open("range")
                .attribute("min", &least.to_string())
                .attribute("max", &most.to_string())
                .end(),
            None if self.open => out.open("open").end(),
            None => out.open("basic").end(),
        };
        out.close("validate");
    }

    fn takes(&self, value: &str) -> bool {
        match self.datatype.as_str() {
            "xs:integer" | "xs:int" | "xs:long" => value.trim().parse().is_ok_and(|number: i64| {
                self.range
                    .is_none_or(|(least, most)| (least..=most).contains(&number))
            }),
            "xs:boolean" => boolean(value).is_some(),
            "xs:dateTime" => value.parse::<crate::moment::Moment>().is_ok(),
            _ => true,
        }
    }
}

impl FormKind {
    fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Form => "form",
            Self::Result => "result",
            Self::Submit => "submit",
        }
    }
}

impl FieldKind {
    const ALL: [Self; 10] = [
        Self::Boolean,
        Self::Fixed,
        Self::Hidden,
        Self::JidMulti,
        Self::JidSingle,
        Self::ListMulti,
        Self::ListSingle,
        Self::TextMulti,
        Self::TextPrivate,
        Self::TextSingle,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Fixed => "fixed",
            Self::Hidden => "hidden",
            Self::JidMulti => "jid-multi",
            Self::JidSingle => "jid-single",
            Self::ListMulti => "list-multi",
            Self::ListSingle => "list-single",
            Self::TextMulti => "text-multi",
            Self::TextPrivate => "text-private",
            Self::TextSingle => "text-single",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    fn is_multi(self) -> bool {
        matches!(
            self,
            Self::Hidden | Self::JidMulti | Self::ListMulti | Self::TextMulti
        )
    }
}

fn boolean(value: &str) -> Option<bool> {
    match value.trim() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn bad(text: impl Into<String>) -> StanzaError {
    StanzaError::new(Condition::BadRequest).text(text)
}

#[cfg(test)]
mod tests {
    use super::{Field, FieldKind, Form, FormKind, Validation};
    use crate::xml::{Element, Limits, Markup};

    fn element(form: &Form) -> Element {
        let mut out = Markup::default();
        form.write(&mut out);
        Element::parse(&out.into_bytes(), Limits::CLIENT).unwrap()
    }

    fn question() -> Form {
        let mut count = Field::text("count", "3").label("How many?");
        count.validation = Some(Validation::integers(1, 9));
        Form::new(FormKind::Form, "urn:tea")
            .title("Tea")
            .instructions("Say <what> you take")
            .with(Field::choice(
                "kind",
                "black",
                &[("black", "Black"), ("green", "Green")],
            ))
            .with(Field::flag("milk", false))
            .with(count)
            .with(Field::new("with", FieldKind::JidMulti).required())
    }

    fn answer(fields: &[(&str, &str)]) -> Form {
        let form = Form::new(FormKind::Submit, "urn:tea");
        fields.iter().fold(form, |form, (name, value)| {
            let field = Field {
                name: (*name).to_owned(),
                values: vec![(*value).to_owned()],
                ..Field::default()
            };
            form.with(field)
        })
    }

    #[test]
    fn a_form_is_read_as_it_was_written() {
        let mut form = question();
        assert_eq!(Form::read(&element(&form)).unwrap(), form);
        form.kind = FormKind::Result;
        form.reported = vec![Field::new("name", FieldKind::TextSingle)];
        form.items = vec![
            vec![Field::text("name", "a")],
            vec![Field::text("name", "b")],
        ];
        assert_eq!(Form::read(&element(&form)).unwrap(), form);
    }

    #[test]
    fn what_is_answered_is_held_against_what_was_asked() {
        let checked = question()
            .check(&answer(&[
                ("kind", "green"),
                ("with", "a@a"),
                ("other", "x"),
            ]))
            .unwrap();
        assert_eq!(checked.value("kind"), Some("green"));
        assert_eq!(checked.flag("milk").unwrap(), Some(false));
        assert_eq!(checked.number::<u8>("count").unwrap(), Some(3));
        assert!(checked.field("other").is_none());
        for (name, value) in [
            ("kind", "red"),
            ("milk", "maybe"),
            ("count", "10"),
            ("count", "x"),
            ("with", "@"),
        ] {
            let error = question()
                .check(&answer(
                    &[("with", "a@a"), (name, value)][usize::from(name == "with")..],
                ))
                .unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let error = question().check(&answer(&[])).unwrap_err();
        assert_eq!(error.to_string(), "not-acceptable: with is missing");
    }

    #[test]
    fn the_answer_to_another_form_is_refused() {
        let other = Form::new(FormKind::Submit, "urn:coffee");
        assert!(question().check(&other).is_err());
        let cancel = Form {
            kind: FormKind::Cancel,
            ..Form::default()
        };
        assert!(question().check(&cancel).is_err());
    }

    #[test]
    fn only_a_hidden_field_says_what_a_result_is() {
        let read = |xml: &str| {
            let x = Element::parse(xml.as_bytes(), Limits::CLIENT).unwrap();
            Form::read(&x)
        };
        let field =
            |kind: &str| format!("<field var='FORM_TYPE' {kind}><value>urn:tea</value></field>");
        let result = format!("<x xmlns='jabber:x:data' type='result'>{}</x>", field(""));
        assert_eq!(read(&result).unwrap().form_type(), None);
        let submit = format!("<x xmlns='jabber:x:data' type='submit'>{}</x>", field(""));
        assert_eq!(read(&submit).unwrap().form_type(), Some("urn:tea"));
        let twice = format!(
            "<x xmlns='jabber:x:data' type='submit'>{0}{0}</x>",
            field("")
        );
        assert!(read(&twice).is_err());
        assert!(read("<x xmlns='jabber:x:data' type='other'/>").is_err());
        assert!(read("<x xmlns='jabber:x:data' type='form'><field/></x>").is_err());
    }
}
