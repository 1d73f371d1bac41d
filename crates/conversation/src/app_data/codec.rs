//! Maps, sets, and what changes in them, as components hold them.
//!
//! A map is a vector of entries in ascending order of their keys, a set a map without values, a
//! change a vector of mutations. All lengths are those of MLS vectors (RFC 9420 §2.1.2).

use std::collections::BTreeMap;

use bytes::Bytes;
use folkmoot_wire::InboxId;
use sha2::{Digest, Sha256};

use super::component::Component;
use crate::layout::{LayoutError, Reader, write_length, write_opaque};

/// What maps and sets are ordered by.
pub(crate) trait Key: Clone + Ord {
    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError>;
    fn write(&self, out: &mut Vec<u8>);
}

/// What a key leads to.
pub(crate) trait Value: Clone {
    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError>;
    fn write(&self, out: &mut Vec<u8>);
}

/// Why a map, a set or a change of one cannot be read or made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("the keys are not in ascending order")]
    Order,
    #[error("a key is there already")]
    KeyExists,
    #[error("a key is not there")]
    NoKey,
}

/// One step of a change of a map.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum MapMutation<K, V> {
    Insert(K, V),
    Update(K, V),
    Delete(K),
}

/// One step of a change of a set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum SetMutation<K> {
    Insert(K),
    Remove(K),
    /// Removes the key with this hash (SHA-256 over the key as it is written).
    RemoveByHash([u8; 32]),
}

pub(crate) fn read_map<K: Key, V: Value>(bytes: &[u8]) -> Result<BTreeMap<K, V>, CodecError> {
    let mut map = BTreeMap::new();
    for_each(bytes, |reader| {
        let (key, value) = (K::read(reader)?, V::read(reader)?);
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(CodecError::Order);
        }
        map.insert(key, value);
        Ok(())
    })?;
    Ok(map)
}

pub(crate) fn write_map<K: Key, V: Value>(map: &BTreeMap<K, V>) -> Bytes {
    vector(map, |(key, value), out| {
        key.write(out);
        value.write(out);
    })
}

pub(crate) fn read_map_change<K: Key, V: Value>(
    bytes: &[u8],
) -> Result<Vec<MapMutation<K, V>>, CodecError> {
    let mut mutations = Vec::new();
    for_each(bytes, |reader| {
        let offset = reader.offset();
        mutations.push(match reader.u8("mutation")? {
            0 => MapMutation::Insert(K::read(reader)?, V::read(reader)?),
            1 => MapMutation::Update(K::read(reader)?, V::read(reader)?),
            2 => MapMutation::Delete(K::read(reader)?),
            value => return Err(unknown("mutation", offset, value)),
        });
        Ok(())
    })?;
    Ok(mutations)
}

pub(crate) fn write_map_change<K: Key, V: Value>(mutations: &[MapMutation<K, V>]) -> Bytes {
    vector(mutations, |mutation, out| match mutation {
        MapMutation::Insert(key, value) => {
            out.push(0);
            key.write(out);
            value.write(out);
        }
        MapMutation::Update(key, value) => {
            out.push(1);
            key.write(out);
            value.write(out);
        }
        MapMutation::Delete(key) => {
            out.push(2);
            key.write(out);
        }
    })
}

pub(crate) fn change_map<K: Key, V: Value>(
    map: &mut BTreeMap<K, V>,
    mutations: Vec<MapMutation<K, V>>,
) -> Result<(), CodecError> {
    for mutation in mutations {
        match mutation {
            MapMutation::Insert(key, value) => {
                if map.insert(key, value).is_some() {
                    return Err(CodecError::KeyExists);
                }
            }
            MapMutation::Update(key, value) => {
                *map.get_mut(&key).ok_or(CodecError::NoKey)? = value;
            }
            MapMutation::Delete(key) => {
                map.remove(&key).ok_or(CodecError::NoKey)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn read_set_change<K: Key>(bytes: &[u8]) -> Result<Vec<SetMutation<K>>, CodecError> {
    let mut mutations = Vec::new();
    for_each(bytes, |reader| {
        let offset = reader.offset();
        mutations.push(match reader.u8("mutation")? {
            0 => SetMutation::Insert(K::read(reader)?),
            1 => SetMutation::Remove(K::read(reader)?),
            2 => SetMutation::RemoveByHash(reader.array("hash")?),
            value => return Err(unknown("mutation", offset, value)),
        });
        Ok(())
    })?;
    Ok(mutations)
}

pub(crate) fn write_set_change<K: Key>(mutations: &[SetMutation<K>]) -> Bytes {
    vector(mutations, |mutation, out| match mutation {
        SetMutation::Insert(key) => {
            out.push(0);
            key.write(out);
        }
        SetMutation::Remove(key) => {
            out.push(1);
            key.write(out);
        }
        SetMutation::RemoveByHash(hash) => {
            out.push(2);
            out.extend(hash);
        }
    })
}

/// Changes a set. Hashes name keys of the set as it was before.
pub(crate) fn change_set<K: Key>(
    set: &mut BTreeMap<K, ()>,
    mutations: Vec<SetMutation<K>>,
) -> Result<(), CodecError> {
    let by_hash: BTreeMap<[u8; 32], K> = set.keys().map(|key| (hash(key), key.clone())).collect();
    let steps = mutations.into_iter().map(|mutation| {
        Ok(match mutation {
            SetMutation::Insert(key) => MapMutation::Insert(key, ()),
            SetMutation::Remove(key) => MapMutation::Delete(key),
            SetMutation::RemoveByHash(hash) => {
                MapMutation::Delete(by_hash.get(&hash).ok_or(CodecError::NoKey)?.clone())
            }
        })
    });
    let steps = steps.collect::<Result<_, CodecError>>()?;
    change_map(set, steps)
}

pub(crate) fn hash<K: Key>(key: &K) -> [u8; 32] {
    let mut bytes = Vec::new();
    key.write(&mut bytes);
    Sha256::digest(&bytes).into()
}

/// Reads a vector that is all there is, item by item.
fn for_each(
    bytes: &[u8],
    mut item: impl FnMut(&mut Reader<'_>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    let mut reader = Reader::new(bytes);
    let mut vector = reader.vector("entries")?;
    reader.finish()?;
    while !vector.is_empty() {
        item(&mut vector)?;
    }
    Ok(())
}

fn vector<T>(items: impl IntoIterator<Item = T>, write: impl Fn(T, &mut Vec<u8>)) -> Bytes {
    let mut content = Vec::new();
    for item in items {
        write(item, &mut content);
    }
    let mut out = Vec::new();
    write_opaque(&mut out, &content);
    out.into()
}

fn unknown(field: &'static str, offset: usize, value: u8) -> CodecError {
    LayoutError::UnknownValue {
        field,
        offset,
        value: value.into(),
    }
    .into()
}

impl Key for InboxId {
    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError> {
        let offset = reader.offset();
        match reader.u8("inbox_id.version")? {
            0 => reader.array("inbox_id").map(Self::from_bytes),
            value => Err(LayoutError::UnknownValue {
                field: "inbox_id.version",
                offset,
                value: value.into(),
            }),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(0);
        out.extend(self.as_bytes());
    }
}

impl Key for Bytes {
    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError> {
        reader.opaque("key").map(Self::copy_from_slice)
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_opaque(out, self);
    }
}

impl Key for Component {
    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError> {
        let offset = reader.offset();
        let number = reader.length("component_id")?;
        u16::try_from(number)
            .map(Self)
            .map_err(|_| LayoutError::UnknownValue {
                field: "component_id",
                offset,
                value: u16::MAX,
            })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_length(out, self.0.into());
    }
}

impl Value for Bytes {
    fn read(reader: &mut Reader<'_>) -> Result<Self, LayoutError> {
        reader.opaque("value").map(Self::copy_from_slice)
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_opaque(out, self);
    }
}

impl Value for () {
    fn read(_: &mut Reader<'_>) -> Result<Self, LayoutError> {
        Ok(())
    }

    fn write(&self, _: &mut Vec<u8>) {}
}
