//! In place of `web` where core is built without the feature `websocket`: there is never one, and the compiler knows.

#![expect(clippy::needless_pass_by_ref_mut, reason = "it looks like the real one")]

use alloc::vec::Vec;

use crate::{
    rng::Rng,
    session::{link::Inbound, pool::Server},
};

pub(crate) enum Web {}

impl Web {
    pub(crate) fn new(_: &Server, _: &mut Rng) -> Option<Self> {
        None
    }

    pub(crate) fn clear(&mut self) {
        match *self {}
    }

    pub(crate) fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn write(&mut self, _: &mut Vec<u8>, _: &mut Vec<u8>, _: &mut Rng) {
        match *self {}
    }

    pub(crate) fn leave(&mut self) {
        match *self {}
    }

    pub(crate) fn read<'a>(&mut self, _: &mut &'a [u8], _: &mut Rng) -> Inbound<'a> {
        match *self {}
    }
}
