pub mod access;
pub mod layout;
pub mod room;
