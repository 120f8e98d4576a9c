//! `cargo deny`: licences, banned crates, sources, and known vulnerabilities where their database can be had.

use std::{process::Command, time::Duration};

use crate::{
    Outcome,
    processes::{cargo, run, show},
};

/// How long fetching the database of advisories may take.
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn check() -> Outcome {
    run(cargo(["deny", "--all-features", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if fetched(cargo(["deny", "--all-features", "fetch", "db"])) {
        return run(cargo(["deny", "--all-features", "--offline", "check", "advisories"]));
    }
    println!("    ****************************************************************************");
    println!("    *  ADVISORIES WERE NOT CHECKED: their database could not be fetched.       *");
    println!("    *  Run `cargo deny check advisories` on a machine that reaches the network.*");
    println!("    ****************************************************************************");
    Ok(())
}

/// Whether the command ends well in time; it is ended when it takes too long.
fn fetched(mut command: Command) -> bool {
    println!("    $ {}", show(&command));
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    for _ in 0..PATIENCE.as_millis() / 100 {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => std::thread::sleep(Duration::from_millis(100)),
            Err(_) => return false,
        }
    }
    // Ended, or already gone: both will do.
    let _ = child.kill();
    let _ = child.wait();
    false
}
