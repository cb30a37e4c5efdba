//! What the wire allows: every request is encoded beforehand and sent over one socket, and the replies are little more than counted.
//! No client of this server on this machine gets further by much. It also fills the buckets (`prepare`), tells what consumers were
//! left behind (`tidy`), and is the other process of W6 (`write`).
//!
//!     limit WORKLOAD url=nats://127.0.0.1:4222 keys=100000 seconds=1

mod consume;
mod increment;
mod measure;
mod prepare;
mod request;
mod wire;

use std::{error::Error, process::ExitCode};

use measure::{Arguments, Report};
use wire::Wire;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match Arguments::read().and_then(|arguments| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("limit: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut wire = Wire::connect(&arguments.url)?;
    let report = match arguments.workload.as_str() {
        "prepare" => return prepare::prepare(&mut wire, arguments.keys),
        "tidy" => return prepare::tidy(&mut wire),
        "write" => return prepare::write(&mut wire, arguments.keys),
        "W1" => request::puts(&mut wire, arguments, 1)?,
        "W2" => request::gets(&mut wire, arguments, 1)?,
        "W3" => request::puts(&mut wire, arguments, 256)?,
        "W4" => request::gets(&mut wire, arguments, 256)?,
        "W5" => consume::snapshot(&mut wire, arguments, false)?,
        "W6" => consume::live(&mut wire, arguments)?,
        "W7k" => consume::snapshot(&mut wire, arguments, true)?,
        "W7h" => request::histories(&mut wire, arguments)?,
        "W8p" => request::large_puts(&mut wire, arguments)?,
        "W8g" => request::large_gets(&mut wire, arguments)?,
        "W9" => increment::increments(&mut wire)?,
        "W10" => request::many_gets(&mut wire, arguments)?,
        "W10p" => request::many_puts(&mut wire, arguments)?,
        "W11" => {
            request::one_get(&mut wire)?;
            Report::first()?
        }
        other => return Err(format!("no workload {other:?}").into()),
    };
    report.print();
    Ok(())
}
