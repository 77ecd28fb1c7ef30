//! What a power cut, a failing disk, a kill, a flipped bit and a wrong clock cost: never a sale that was
//! acknowledged. Each harness comes with a control that it must fail.

mod clock;
mod copied;
mod disk;
mod drained;
mod kill;
mod migration;
mod power;
mod rot;
mod torture;
