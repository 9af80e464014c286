//! Whether answers keep to the RFC in form: held against what `/Schemas` and `/ResourceTypes`
//! themselves promise. Entry point: [`Strict::check`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::answer::Answer;
use super::app::ScimClient;

const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
const META: [&str; 5] = ["created", "lastModified", "location", "resourceType", "version"];

/// What a connection's schemas allow.
pub struct Strict {
    base_url: String,
    /// By the resource type's name.
    types: BTreeMap<String, Type>,
}

struct Type {
    endpoint: String,
    schema: String,
    attributes: Attributes,
    /// By URN.
    extensions: BTreeMap<String, Attributes>,
}

type Attributes = BTreeMap<String, Attribute>;

struct Attribute {
    kind: String,
    multi_valued: bool,
    never_returned: bool,
    sub_attributes: Attributes,
}

type Checked = Result<(), String>;

fn complain(condition: bool, problem: impl FnOnce() -> String) -> Checked {
    if condition { Ok(()) } else { Err(problem()) }
}

impl Strict {
    /// What the server promises to the client.
    pub async fn of(client: &ScimClient) -> Self {
        let schemas = client.get("/Schemas").await.expect(200).body;
        let schema = |urn: &Value| {
            let all = schemas["Resources"].as_array().expect("schemas");
            let found = all.iter().find(|schema| schema["id"] == *urn).expect("a schema");
            attributes(&found["attributes"])
        };
        let types = client.get("/ResourceTypes").await.expect(200).body;
        let mut base_url = String::new();
        let types = types["Resources"].as_array().expect("types").iter().map(|found| {
            let name = found["name"].as_str().expect("a name").to_owned();
            let location = found["meta"]["location"].as_str().expect("a location");
            let end = format!("/ResourceTypes/{name}");
            location.strip_suffix(&end).expect("its own address").clone_into(&mut base_url);
            let extensions = found["schemaExtensions"].as_array().into_iter().flatten();
            let extensions = extensions.map(|extension| {
                let urn = &extension["schema"];
                (urn.as_str().expect("a URN").to_owned(), schema(urn))
            });
            let found = Type {
                endpoint: found["endpoint"].as_str().expect("an endpoint").to_owned(),
                schema: found["schema"].as_str().expect("a URN").to_owned(),
                attributes: schema(&found["schema"]),
                extensions: extensions.collect(),
            };
            (name, found)
        });
        let types = types.collect();
        Self { base_url, types }
    }

    /// Fails the test unless the answer is of the form that the RFC wants.
    #[track_caller]
    pub fn check(&self, path: &str, answer: &Answer, place: &str) {
        if let Err(problem) = self.answer(path, answer) {
            panic!("{place}: {problem}: {} answered {}", answer.request, answer.text);
        }
    }

    fn answer(&self, path: &str, answer: &Answer) -> Checked {
        if matches!(answer.status, 204 | 304) {
            return complain(answer.text.is_empty(), || "a body where there is none".to_owned());
        }
        let media_type = answer.header("content-type").unwrap_or_default();
        complain(media_type == "application/scim+json", || format!("it is {media_type}"))?;
        self.body(path, answer.status, &answer.body)?;
        let meta = &answer.body["meta"];
        if answer.status == 201 {
            let location = answer.header("location").unwrap_or_default();
            complain(meta["location"] == location, || format!("Location is {location}"))?;
        }
        match answer.header("etag") {
            Some(etag) if meta.get("version").is_some() => {
                complain(meta["version"] == etag, || format!("ETag is {etag}"))
            }
            _ => Ok(()),
        }
    }

    /// The body of an answer to a request for the path, by itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn body(&self, path: &str, status: u16, body: &Value) -> Checked {
        no_nulls(body)?;
        let object = body.as_object().ok_or("it is no object")?;
        if status >= 400 {
            return error(object, status);
        }
        // A projection may leave out what is otherwise complete.
        let is_whole = !path.contains("attributes=") || path.contains("excludedAttributes=members");
        if body["schemas"] == serde_json::json!([LIST]) {
            return self.list(object, is_whole);
        }
        if body["schemas"] == serde_json::json!([BULK]) {
            return bulk(object);
        }
        self.resource(object, is_whole)
    }

    fn list(&self, list: &Map<String, Value>, is_whole: bool) -> Checked {
        for (key, value) in list {
            let fits = match key.as_str() {
                "schemas" | "Resources" => value.is_array(),
                "totalResults" | "startIndex" | "itemsPerPage" => value.is_u64(),
                "nextCursor" | "previousCursor" => value.is_string(),
                _ => false,
            };
            complain(fits, || format!("a list with {key}: {value}"))?;
        }
        let resources = list.get("Resources").and_then(Value::as_array).ok_or("no Resources")?;
        let count = list.get("itemsPerPage").and_then(Value::as_u64);
        complain(list.contains_key("totalResults"), || "no totalResults".to_owned())?;
        complain(count == u64::try_from(resources.len()).ok(), || format!("{count:?} a page"))?;
        for resource in resources {
            self.resource(resource.as_object().ok_or("a resource is no object")?, is_whole)?;
        }
        Ok(())
    }

    fn resource(&self, resource: &Map<String, Value>, is_whole: bool) -> Checked {
        let schemas = resource.get("schemas").and_then(Value::as_array).ok_or("no schemas")?;
        let schemas: Vec<&str> = schemas.iter().filter_map(Value::as_str).collect();
        let first = schemas.first().copied().unwrap_or_default();
        let found = self.types.iter().find(|(_, found)| found.schema == first);
        let Some((name, found)) = found else {
            // What describes the server itself.
            return complain(resource.contains_key("meta"), || "no meta".to_owned());
        };
        let id = resource.get("id").and_then(Value::as_str).ok_or("no id")?;
        for (key, value) in resource {
            match key.as_str() {
                "schemas" | "id" => {}
                "externalId" => complain(value.is_string(), || format!("externalId: {value}"))?,
                "meta" => self.meta(value, name, &format!("{}/{id}", found.endpoint))?,
                key => match (found.attributes.get(key), found.extensions.get(key)) {
                    (Some(attribute), _) => attribute.check(key, value)?,
                    (None, Some(extension)) => members(key, extension, value)?,
                    (None, None) => return Err(format!("an unknown attribute {key}")),
                },
            }
        }
        complain(!is_whole || resource.contains_key("meta"), || "no meta".to_owned())?;
        let extensions: BTreeSet<&str> =
            resource.keys().map(String::as_str).filter(|key| key.contains(':')).collect();
        let listed: BTreeSet<&str> = schemas.iter().skip(1).copied().collect();
        complain(listed == extensions && listed.len() + 1 == schemas.len(), || {
            format!("schemas {schemas:?}, of which there are {extensions:?}")
        })
    }

    fn meta(&self, meta: &Value, resource_type: &str, path: &str) -> Checked {
        let meta = meta.as_object().ok_or("meta is no object")?;
        let keys: BTreeSet<&str> = meta.keys().map(String::as_str).collect();
        complain(keys == BTreeSet::from(META), || format!("meta has {keys:?}"))?;
        complain(meta["resourceType"] == resource_type, || format!("no {resource_type}"))?;
        complain(meta["location"] == format!("{}{path}", self.base_url), || {
            format!("it is at {}", meta["location"])
        })?;
        for key in ["created", "lastModified"] {
            of_kind("dateTime", key, &meta[key])?;
        }
        let version = meta["version"].as_str().unwrap_or_default();
        complain(version.trim_start_matches("W/").starts_with('"'), || format!("v. {version}"))
    }
}

impl Attribute {
    fn check(&self, name: &str, value: &Value) -> Checked {
        complain(!self.never_returned, || format!("{name} is never returned"))?;
        if !self.multi_valued {
            return self.one(name, value);
        }
        let values = value.as_array().ok_or_else(|| format!("{name} is no array: {value}"))?;
        for value in values {
            self.one(name, value)?;
        }
        let primary = values.iter().filter(|value| value["primary"] == true).count();
        complain(primary <= 1, || format!("{primary} primary {name}"))
    }

    fn one(&self, name: &str, value: &Value) -> Checked {
        if self.kind == "complex" {
            return members(name, &self.sub_attributes, value);
        }
        of_kind(&self.kind, name, value)
    }
}

fn members(name: &str, attributes: &Attributes, value: &Value) -> Checked {
    let object = value.as_object().ok_or_else(|| format!("{name} is no object: {value}"))?;
    complain(!object.is_empty(), || format!("{name} is empty"))?;
    for (key, value) in object {
        let found = attributes.get(key).ok_or_else(|| format!("an unknown {name}.{key}"))?;
        found.check(&format!("{name}.{key}"), value)?;
    }
    Ok(())
}

fn of_kind(kind: &str, name: &str, value: &Value) -> Checked {
    let fits = match kind {
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "decimal" => value.is_number(),
        "dateTime" => value.as_str().is_some_and(|text| {
            let timed = text.split_once('T').is_some_and(|(date, _)| date.len() == 10);
            timed && text.ends_with('Z')
        }),
        _ => value.is_string(),
    };
    complain(fits, || format!("{name} is no {kind}: {value}"))
}

fn error(object: &Map<String, Value>, status: u16) -> Checked {
    let known = ["schemas", "status", "scimType", "detail"];
    for (key, value) in object {
        let fits = match key.as_str() {
            "schemas" => *value == serde_json::json!([ERROR]),
            "status" => value.as_str() == Some(status.to_string().as_str()),
            key => known.contains(&key) && value.as_str().is_some_and(|text| !text.is_empty()),
        };
        complain(fits, || format!("an error with {key}: {value}"))?;
    }
    let has_all = ["schemas", "status", "detail"].iter().all(|key| object.contains_key(*key));
    complain(has_all, || "an error that does not say what is wrong".to_owned())
}

fn bulk(object: &Map<String, Value>) -> Checked {
    complain(object.len() == 2, || format!("a bulk answer with {:?}", object.keys()))?;
    let operations = object.get("Operations").and_then(Value::as_array).ok_or("no Operations")?;
    for operation in operations {
        let operation = operation.as_object().ok_or("an operation is no object")?;
        for (key, value) in operation {
            let fits = match key.as_str() {
                "method" | "bulkId" | "version" | "location" | "status" => value.is_string(),
                "response" => value.is_object(),
                _ => false,
            };
            complain(fits, || format!("an operation with {key}: {value}"))?;
        }
        let status = operation.get("status").and_then(Value::as_str).unwrap_or_default();
        let status = status.parse().map_err(|_| format!("an operation of status {status}"))?;
        match operation.get("response").and_then(Value::as_object) {
            Some(response) if status >= 400 => error(response, status)?,
            found => complain(status < 400 || found.is_some(), || "no reason".to_owned())?,
        }
    }
    Ok(())
}

fn no_nulls(value: &Value) -> Checked {
    match value {
        Value::Null => Err("a null".to_owned()),
        Value::Array(values) => values.iter().try_for_each(no_nulls),
        Value::Object(object) => object.values().try_for_each(no_nulls),
        _ => Ok(()),
    }
}

fn attributes(schema: &Value) -> Attributes {
    let all = schema.as_array().into_iter().flatten();
    let all = all.map(|found| {
        let attribute = Attribute {
            kind: found["type"].as_str().expect("a type").to_owned(),
            multi_valued: found["multiValued"] == true,
            never_returned: found["returned"] == "never",
            sub_attributes: attributes(&found["subAttributes"]),
        };
        (found["name"].as_str().expect("a name").to_owned(), attribute)
    });
    all.collect()
}
