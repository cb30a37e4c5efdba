//! Where C's arguments become Rust values and Rust's errors become C's: the panic boundary, NULL checks, strings, structs.
//!
//! Nullable references (`Option<&T>`) have the layout of C pointers, so most functions need no unsafe at all. What is left is
//! here. Outputs are `MaybeUninit`, because C hands over memory it never wrote.

use std::{
    borrow::Cow,
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_void},
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use natskv_core::{Error, ErrorCode};

/// What a function has to say. 0 is success; the decade of the others tells whose fault it is: below 10 the caller's, 10 to 19
/// the connection's, 20 to 29 the moment's, 30 to 39 the server said no, 90 a bug in natskv, from 100 on no errors at all.
///
/// The numbers are the same in every language and version of natskv and are never given another meaning.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_code {
    /// Done; outputs are written.
    NATSKV_OK = 0,
    /// An argument breaks a rule that has no code of its own, NULL included; the message names argument and rule.
    NATSKV_INVALID_ARGUMENT = 1,
    /// A key or filter that cannot be written: charset, empty token, reserved prefix.
    NATSKV_INVALID_KEY = 2,
    /// A bucket name outside `[A-Za-z0-9_-]+`.
    NATSKV_INVALID_BUCKET = 3,
    /// The value, or the message it makes, is larger than the server or the bucket takes. Nothing was sent.
    NATSKV_TOO_LARGE = 4,
    /// The server, the bucket or this build lacks the feature asked for.
    NATSKV_UNSUPPORTED = 5,
    /// A blocking call from inside a callback that the same client runs.
    NATSKV_WOULD_DEADLOCK = 6,
    /// More than 64 revisions a key were asked for.
    NATSKV_HISTORY_TOO_LARGE = 7,
    /// No server of the list could be reached, or each refused for a reason that is not the credentials.
    NATSKV_CONNECT_FAILED = 10,
    /// The connection was lost while the operation was in flight; see `maybe_applied`.
    NATSKV_DISCONNECTED = 11,
    /// The client or the watcher was closed.
    NATSKV_CLOSED = 12,
    /// TLS could not be set up, or the two sides disagree about using it.
    NATSKV_TLS = 13,
    /// The server refused the credentials.
    NATSKV_AUTH = 14,
    /// The credentials are good, the subject is not allowed to them.
    NATSKV_PERMISSION = 15,
    /// Bytes that are not NATS, or an answer that cannot be one.
    NATSKV_PROTOCOL = 16,
    /// A queue reached its bound (`pending_limit`, `max_operations`).
    NATSKV_BUFFER_FULL = 17,
    /// The time ran out first.
    NATSKV_TIMEOUT = 20,
    /// `natskv_op_cancel` ended it.
    NATSKV_CANCELLED = 21,
    /// Nobody listens on the subject asked: JetStream is off, or not reachable from this account.
    NATSKV_NO_RESPONDERS = 22,
    /// The server is there but cannot serve now (election, overload); it was retried until the deadline.
    NATSKV_UNAVAILABLE = 23,
    /// No such bucket.
    NATSKV_BUCKET_NOT_FOUND = 30,
    /// The bucket exists with another configuration; the message lists the fields that differ.
    NATSKV_BUCKET_EXISTS = 31,
    /// The stream exists but is not a key/value bucket.
    NATSKV_NOT_A_BUCKET = 32,
    /// The key has no live value: never written, deleted, purged or expired.
    NATSKV_KEY_NOT_FOUND = 33,
    /// The key has a live value already.
    NATSKV_KEY_EXISTS = 34,
    /// The key is at another revision than the one expected.
    NATSKV_WRONG_REVISION = 35,
    /// The bucket reached its `max_bytes`.
    NATSKV_BUCKET_FULL = 36,
    /// Any other refusal of the server; the message carries its words.
    NATSKV_SERVER = 37,
    /// A bug in natskv. After a panic inside the library the client refuses all further calls with this code.
    NATSKV_INTERNAL = 90,
    /// Watchers only, not an error: all initial values were handed out; what follows are updates.
    NATSKV_CAUGHT_UP = 100,
    /// Watchers only, not an error: the bucket was deleted and created again. Forget all keys; a new initial picture follows,
    /// then NATSKV_CAUGHT_UP again.
    NATSKV_RESET = 101,
}

impl natskv_code {
    /// Exhaustive on purpose: a new code of core does not compile until C has it too.
    pub(crate) const fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidArgument => Self::NATSKV_INVALID_ARGUMENT,
            ErrorCode::InvalidKey => Self::NATSKV_INVALID_KEY,
            ErrorCode::InvalidBucket => Self::NATSKV_INVALID_BUCKET,
            ErrorCode::TooLarge => Self::NATSKV_TOO_LARGE,
            ErrorCode::Unsupported => Self::NATSKV_UNSUPPORTED,
            ErrorCode::WouldDeadlock => Self::NATSKV_WOULD_DEADLOCK,
            ErrorCode::HistoryTooLarge => Self::NATSKV_HISTORY_TOO_LARGE,
            ErrorCode::ConnectFailed => Self::NATSKV_CONNECT_FAILED,
            ErrorCode::Disconnected => Self::NATSKV_DISCONNECTED,
            ErrorCode::Closed => Self::NATSKV_CLOSED,
            ErrorCode::Tls => Self::NATSKV_TLS,
            ErrorCode::Auth => Self::NATSKV_AUTH,
            ErrorCode::Permission => Self::NATSKV_PERMISSION,
            ErrorCode::Protocol => Self::NATSKV_PROTOCOL,
            ErrorCode::BufferFull => Self::NATSKV_BUFFER_FULL,
            ErrorCode::Timeout => Self::NATSKV_TIMEOUT,
            ErrorCode::Cancelled => Self::NATSKV_CANCELLED,
            ErrorCode::NoResponders => Self::NATSKV_NO_RESPONDERS,
            ErrorCode::Unavailable => Self::NATSKV_UNAVAILABLE,
            ErrorCode::BucketNotFound => Self::NATSKV_BUCKET_NOT_FOUND,
            ErrorCode::BucketExists => Self::NATSKV_BUCKET_EXISTS,
            ErrorCode::NotABucket => Self::NATSKV_NOT_A_BUCKET,
            ErrorCode::KeyNotFound => Self::NATSKV_KEY_NOT_FOUND,
            ErrorCode::KeyExists => Self::NATSKV_KEY_EXISTS,
            ErrorCode::WrongRevision => Self::NATSKV_WRONG_REVISION,
            ErrorCode::BucketFull => Self::NATSKV_BUCKET_FULL,
            ErrorCode::Server => Self::NATSKV_SERVER,
            ErrorCode::Internal => Self::NATSKV_INTERNAL,
        }
    }
}

const _: () = {
    let mut i = 0;
    while i < ErrorCode::ALL.len() {
        assert!(natskv_code::of(ErrorCode::ALL[i]) as u16 == ErrorCode::ALL[i].number());
        i += 1;
    }
};

/// The name of a code as it stands in this header, such as "NATSKV_KEY_NOT_FOUND"; "NATSKV_UNKNOWN" for other numbers.
///
/// The string lives for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_code_name(code: i32) -> *const c_char {
    macro_rules! names {
        ($($name:ident)+) => {
            match code {
                $(n if n == natskv_code::$name as i32 => concat!(stringify!($name), "\0").as_ptr().cast(),)+
                _ => c"NATSKV_UNKNOWN".as_ptr(),
            }
        };
    }
    names! {
        NATSKV_OK NATSKV_INVALID_ARGUMENT NATSKV_INVALID_KEY NATSKV_INVALID_BUCKET NATSKV_TOO_LARGE NATSKV_UNSUPPORTED
        NATSKV_WOULD_DEADLOCK NATSKV_HISTORY_TOO_LARGE NATSKV_CONNECT_FAILED NATSKV_DISCONNECTED NATSKV_CLOSED NATSKV_TLS
        NATSKV_AUTH NATSKV_PERMISSION NATSKV_PROTOCOL NATSKV_BUFFER_FULL NATSKV_TIMEOUT NATSKV_CANCELLED
        NATSKV_NO_RESPONDERS NATSKV_UNAVAILABLE NATSKV_BUCKET_NOT_FOUND NATSKV_BUCKET_EXISTS NATSKV_NOT_A_BUCKET
        NATSKV_KEY_NOT_FOUND NATSKV_KEY_EXISTS NATSKV_WRONG_REVISION NATSKV_BUCKET_FULL NATSKV_SERVER NATSKV_INTERNAL
        NATSKV_CAUGHT_UP NATSKV_RESET
    }
}

/// One failure, complete enough to act on without parsing its message. The caller owns it (usually on the stack) and may pass
/// NULL instead. A function writes it only when it fails; it needs no initialisation and no freeing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_error {
    /// What the function returned.
    pub code: natskv_code,
    /// The JetStream `err_code` (10071 for a wrong revision); 0 when the error was made locally.
    pub api_code: u32,
    /// The revision that the key really is at, when the server told it; else 0.
    pub revision: u64,
    /// The write may have been stored although it failed here. Never true for reads.
    pub maybe_applied: bool,
    /// What was wrong with which value, and what would be right; the server's own words where it spoke. NUL-terminated UTF-8,
    /// cut with "..." where it is longer.
    pub message: [c_char; 256],
}

impl natskv_error {
    pub(crate) fn of(error: &Error) -> Self {
        Self {
            code: natskv_code::of(error.code),
            api_code: error.api_code,
            revision: error.revision.unwrap_or(0),
            maybe_applied: error.maybe_applied,
            message: message(&error.message),
        }
    }
}

/// `text` in 255 bytes, cut between characters.
fn message(text: &str) -> [c_char; 256] {
    let end = (0..=252).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let cut = if text.len() <= 255 { Cow::Borrowed(text) } else { Cow::Owned(format!("{}...", &text[..end])) };
    let mut message = [0; 256];
    for (to, from) in message.iter_mut().zip(cut.bytes().map(|b| if b == 0 { b' ' } else { b })) {
        *to = from as c_char;
    }
    message
}

thread_local! {
    static LAST_ERROR: RefCell<Option<Error>> = const { RefCell::new(None) };
}

/// Copies what went wrong in the newest failed natskv call of this thread; NATSKV_OK's struct when none failed yet.
///
/// For calls that take no `natskv_error`: the `_async` forms when they return at once with a failure, and `on_item` of a watch,
/// for the code that ends it. Any thread; each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_last_error(err: Option<&mut MaybeUninit<natskv_error>>) {
    let Some(err) = err else { return };
    LAST_ERROR.with_borrow(|last| {
        err.write(match last {
            Some(error) => natskv_error::of(error),
            None => natskv_error {
                code: natskv_code::NATSKV_OK,
                api_code: 0,
                revision: 0,
                maybe_applied: false,
                message: [0; 256],
            },
        });
    });
}

/// Keeps `error` for `natskv_last_error`.
pub(crate) fn remember(error: Error) {
    // At the end of a thread its locals may be gone already; then nobody can ask either.
    let _ = LAST_ERROR.try_with(|last| last.replace(Some(error)));
}

pub(crate) type ErrorOut<'a> = Option<&'a mut MaybeUninit<natskv_error>>;

/// The body of every function that can fail: a panic stays inside and the error gets out by all its ways.
pub(crate) fn guard(err: ErrorOut<'_>, body: impl FnOnce() -> Result<(), Error>) -> natskv_code {
    guard_code(err, || body().map(|()| natskv_code::NATSKV_OK))
}

/// [`guard`] for functions with more than one kind of success.
pub(crate) fn guard_code(err: ErrorOut<'_>, body: impl FnOnce() -> Result<natskv_code, Error>) -> natskv_code {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(code)) => return code,
        Ok(Err(error)) => error,
        Err(_) => {
            Error::new(ErrorCode::Internal, "a bug in natskv: a function panicked; the client cannot be used any more")
        }
    };
    if let Some(err) = err {
        err.write(natskv_error::of(&error));
    }
    let code = natskv_code::of(error.code);
    remember(error);
    code
}

/// The body of a getter: `default` instead of a panic.
pub(crate) fn guard_value<T>(default: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(default)
}

pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

/// A handle or output that must be there.
pub(crate) fn required<T>(name: &'static str, pointer: Option<T>) -> Result<T, Error> {
    pointer.ok_or_else(|| invalid(format!("{name} is NULL")))
}

/// A string that must be there.
pub(crate) fn text<'a>(name: &'static str, text: *const c_char) -> Result<&'a str, Error> {
    optional_text(name, text)?.ok_or_else(|| invalid(format!("{name} is NULL")))
}

/// A string that may be NULL. Not UTF-8 is an error, for every name and filter goes onto the wire as text.
pub(crate) fn optional_text<'a>(name: &'static str, text: *const c_char) -> Result<Option<&'a str>, Error> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: C's contract is a NUL-terminated string that outlives the call; 'a ends inside of the calling function.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|at| invalid(format!("{name} is not UTF-8 at byte {}", at.valid_up_to())))
}

/// A string that may be NULL, owned.
pub(crate) fn optional_string(name: &'static str, text: *const c_char) -> Result<Option<String>, Error> {
    Ok(optional_text(name, text)?.map(String::from))
}

/// `n` strings; NULL only where `n` is 0.
pub(crate) fn texts<'a>(name: &'static str, list: *const *const c_char, n: usize) -> Result<Vec<&'a str>, Error> {
    array(name, list, n)?.iter().map(|&item| text(name, item)).collect()
}

/// `len` bytes; NULL only where `len` is 0.
pub(crate) fn bytes<'a>(name: &'static str, data: *const c_void, len: usize) -> Result<&'a [u8], Error> {
    array(name, data.cast(), len)
}

/// `n` items; NULL only where `n` is 0.
pub(crate) fn array<'a, T>(name: &'static str, items: *const T, n: usize) -> Result<&'a [T], Error> {
    if n == 0 {
        return Ok(&[]);
    }
    if items.is_null() {
        return Err(invalid(format!("{name} is NULL although its count is {n}")));
    }
    if n > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(invalid(format!("{name} cannot have {n} items")));
    }
    // SAFETY: C's contract is `n` readable items that outlive the call; NULL and sizes over isize::MAX are excluded above.
    Ok(unsafe { std::slice::from_raw_parts(items, n) })
}

/// Room for `n` items that C hands over, maybe never written before; NULL: it does not want them.
pub(crate) fn out_array<'a, T>(
    name: &'static str,
    items: *mut T,
    n: usize,
) -> Result<Option<&'a mut [MaybeUninit<T>]>, Error> {
    if items.is_null() {
        return Ok(None);
    }
    if n > isize::MAX as usize / size_of::<T>().max(1) {
        return Err(invalid(format!("{name} cannot have {n} items")));
    }
    // SAFETY: C's contract is room for `n` items that nobody else uses during the call; NULL and sizes over isize::MAX are excluded.
    Ok(Some(unsafe { std::slice::from_raw_parts_mut(items.cast(), n) }))
}

/// Milliseconds of C: 0 is none, negative or over 100 years is refused.
pub(crate) fn millis(name: &'static str, ms: i64) -> Result<Option<Duration>, Error> {
    const CENTURY_MS: u64 = 100 * 366 * 86_400_000;
    match u64::try_from(ms) {
        Ok(0) => Ok(None),
        Ok(ms) if ms <= CENTURY_MS => Ok(Some(Duration::from_millis(ms))),
        Ok(_) => Err(invalid(format!("{name} {ms} is over 100 years; it is counted in milliseconds"))),
        Err(_) => Err(invalid(format!("{name} {ms} is negative"))),
    }
}

/// Milliseconds for C, rounded up so that nobody wakes too early.
pub(crate) fn to_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// A C `bool` in a struct that C filled: Rust's own would be undefined behaviour when the byte is neither 0 nor 1.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct natskv_flag(u8);

impl From<bool> for natskv_flag {
    fn from(flag: bool) -> Self {
        Self(flag.into())
    }
}

impl natskv_flag {
    pub(crate) fn is_set(self) -> bool {
        self.0 != 0
    }
}

/// A struct of options that begins with `size_t struct_size`, so that it can grow in later versions.
///
/// # Safety
/// `repr(C)`, first field `struct_size: usize`, and every bit pattern that C can write is a valid value.
pub(crate) unsafe trait Options: Copy {
    /// The C name of its `_init`.
    const INIT: &'static str;
    /// All defaults, `struct_size` included.
    fn defaults() -> Self;
}

/// What `options` points to, with defaults where the caller's struct is of an older, shorter version; NULL is all defaults.
pub(crate) fn options<T: Options>(options: *const T) -> Result<T, Error> {
    let mut known = T::defaults();
    if options.is_null() {
        return Ok(known);
    }
    // SAFETY: C's contract is a struct that begins with its size in bytes, which is all that is read here.
    let size = unsafe { options.cast::<usize>().read() };
    if size < size_of::<usize>() || size > 16 * size_of::<T>() {
        return Err(invalid(format!("struct_size is {size}: call {} before setting fields", T::INIT)));
    }
    // SAFETY: as above, `size` bytes are readable.
    let given = unsafe { std::slice::from_raw_parts(options.cast::<u8>(), size) };
    if let Some(at) = given.iter().skip(size_of::<T>()).position(|&b| b != 0) {
        let at = size_of::<T>() + at;
        return Err(Error::new(
            ErrorCode::Unsupported,
            format!("an option at byte {at} of the struct is newer than this libnatskv"),
        ));
    }
    // SAFETY: both sides hold that many bytes, and T takes any bit pattern that C can write.
    unsafe { std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut known).cast(), size.min(size_of::<T>())) };
    Ok(known)
}

/// Moves `value` to the heap, for C to hold until the type's `_free`.
pub(crate) fn boxed<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Frees what [`boxed`] made; NULL is fine.
pub(crate) fn unbox<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: only pointers from `boxed` get here: the library's own, or C's under the contract of a `_free` function.
        drop(unsafe { Box::from_raw(pointer) });
    }
}

/// A shared look at a handle whose function may run callbacks, in which C may free that very handle: the look ends here.
pub(crate) fn peek<T, R>(handle: *const T, look: impl FnOnce(&T) -> R) -> Option<R> {
    // SAFETY: C's contract is NULL or a live handle.
    unsafe { handle.as_ref() }.map(look)
}

/// A string for C; what follows a NUL byte is cut, since C could not see it.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes = text.into();
    if let Some(nul) = bytes.iter().position(|&b| b == 0) {
        bytes.truncate(nul);
    }
    CString::new(bytes).unwrap_or_default()
}

/// Frees a string that natskv handed out (`natskv_execute`, a reply's `json`). NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_string_free(string: *mut c_char) {
    free_string(string);
}

fn free_string(string: *mut c_char) {
    if !string.is_null() {
        // SAFETY: C's contract is a string that came from `CString::into_raw` and was not freed yet.
        drop(unsafe { CString::from_raw(string) });
    }
}

/// Bytes that another object owns; they live as long as it does. Not NUL-terminated. `data` is NULL where there is nothing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_slice {
    /// First byte.
    pub data: *const c_char,
    /// How many.
    pub len: usize,
}

impl natskv_slice {
    pub(crate) const NONE: Self = Self { data: std::ptr::null(), len: 0 };

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr().cast(), len: bytes.len() }
    }
}

/// What C wants back with each callback. Natskv only carries it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User(pub(crate) *mut c_void);

// SAFETY: the pointer is not looked at here; that callbacks may come on the library's thread is documented at each of them.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

/// `user` with the function that ends its use. Dropping it calls that function, so it must not happen under the lock.
#[derive(Debug)]
pub(crate) struct OwnedUser {
    pub(crate) user: User,
    drop: natskv_drop,
}

impl OwnedUser {
    pub(crate) fn new(user: *mut c_void, drop: natskv_drop) -> Self {
        Self { user: User(user), drop }
    }
}

impl Drop for OwnedUser {
    fn drop(&mut self) {
        if let Some(drop) = self.drop {
            drop(self.user.0);
        }
    }
}

/// Told once when natskv will never use `user` again.
pub type natskv_drop = Option<extern "C" fn(user: *mut c_void)>;

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(error: &natskv_error) -> String {
        error.message.iter().take_while(|&&c| c != 0).map(|&c| char::from(c as u8)).collect()
    }

    #[test]
    fn a_panic_becomes_internal() {
        let mut err = MaybeUninit::uninit();
        let code = guard(Some(&mut err), || panic!("a bug"));
        assert_eq!(code, natskv_code::NATSKV_INTERNAL);
        // SAFETY: a failing guard writes its error.
        assert!(text_of(unsafe { err.assume_init_ref() }).contains("panicked"));
        assert_eq!(guard_value(7, || panic!("a bug")), 7);
    }

    #[test]
    fn a_success_leaves_the_error_alone() {
        let mut err = MaybeUninit::new(natskv_error::of(&Error::new(ErrorCode::Closed, "before")));
        assert_eq!(guard(Some(&mut err), || Ok(())), natskv_code::NATSKV_OK);
        // SAFETY: it was written above.
        assert_eq!(text_of(unsafe { err.assume_init_ref() }), "before");
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let cut = natskv_error::of(&invalid("é".repeat(200)));
        let bytes: Vec<u8> = cut.message.iter().map(|&c| c as u8).collect();
        assert_eq!(bytes.last(), Some(&0));
        let text = CStr::from_bytes_until_nul(&bytes).expect("it ends").to_str().expect("whole characters");
        assert_eq!(text, format!("{}...", "é".repeat(126)));
        let whole = "x".repeat(255);
        assert_eq!(text_of(&natskv_error::of(&invalid(whole.clone()))), whole);
    }

    #[test]
    fn milliseconds_are_rounded_up() {
        assert_eq!(to_millis(Duration::from_nanos(1)), 1);
        assert_eq!(to_millis(Duration::from_millis(5)), 5);
        assert_eq!(to_millis(Duration::MAX), i64::MAX);
    }
}
