//! How messages become gRPC frames and come out of them.
//!
//! As tonic's own codec, with two differences. Bytes that are no message of the expected type
//! are the sender's fault, so they are answered with `INVALID_ARGUMENT` and the path of the
//! field; tonic would call them an internal error. And an open stream keeps a smaller buffer,
//! which grows for the messages that need it: most streams are silent most of the time.

use std::marker::PhantomData;

use prost::{DecodeError, Message};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Bytes by which a stream's buffer begins and grows.
const BUFFER_BYTES: usize = 1 << 10;
/// Bytes of small messages that are collected before they are handed to the connection.
const FLUSH_BYTES: usize = 32 << 10;

/// Protobuf, of `T` on the way out and `U` on the way in.
#[derive(Clone, Copy, Debug)]
pub struct ProtobufCodec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for ProtobufCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ProtobufCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProtobufEncoder<T>;
    type Decoder = ProtobufDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProtobufEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProtobufDecoder(PhantomData)
    }
}

/// The way out.
#[derive(Clone, Copy, Debug)]
pub struct ProtobufEncoder<T>(PhantomData<fn(T)>);

impl<T: Message> Encoder for ProtobufEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.encoded_len());
        item.encode(buffer)
            .expect("room for the whole message was reserved");
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, FLUSH_BYTES)
    }
}

/// The way in.
#[derive(Clone, Copy, Debug)]
pub struct ProtobufDecoder<U>(PhantomData<fn() -> U>);

impl<U: Message + Default> Decoder for ProtobufDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(buffer).map(Some).map_err(undecodable)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, FLUSH_BYTES)
    }
}

/// What the sender of an undecodable message is told.
fn undecodable(cause: DecodeError) -> Status {
    Status::invalid_argument(cause.to_string())
}
