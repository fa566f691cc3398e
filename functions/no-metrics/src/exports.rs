//! The three calls, and the memory that their arguments are put into.
//!
//! Addresses are numbers here: nothing of what is put into the memory is ever looked at.

use core::arch::wasm32;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

include!(concat!(env!("OUT_DIR"), "/section.rs"));

/// Tells the linker which component this is.
#[used]
#[unsafe(link_section = "component-type:no-metrics")]
static COMPONENT_TYPE: [u8; SECTION.len()] = SECTION;

/// `result<_, error>`, all of its bytes 0: `ok`.
#[repr(align(4))]
struct ResultArea([u8; 16]);

static OK: ResultArea = ResultArea([0; 16]);

unsafe extern "C" {
    /// Where the linker says that the memory is free from.
    safe static __heap_base: u8;
}

/// How much of the free memory the call's arguments take so far. A call is over when it returns, and so are its arguments.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

const PAGE: usize = 64 * 1024;

#[unsafe(export_name = "flowviz:metrics/metrics@0.1.0#counter-add")]
extern "C" fn counter_add(_: usize, _: usize, _: usize, _: usize, _: f64) -> usize {
    done()
}

#[unsafe(export_name = "flowviz:metrics/metrics@0.1.0#gauge-set")]
extern "C" fn gauge_set(_: usize, _: usize, _: usize, _: usize, _: f64) -> usize {
    done()
}

#[unsafe(export_name = "flowviz:metrics/metrics@0.1.0#histogram-observe")]
extern "C" fn histogram_observe(_: usize, _: usize, _: usize, _: usize, _: f64) -> usize {
    done()
}

fn done() -> usize {
    TAKEN.store(0, Ordering::Relaxed);
    OK.0.as_ptr() as usize
}

/// The ABI's `realloc`, called for the arguments, whose sizes are known beforehand: nothing ever grows.
#[unsafe(export_name = "cabi_realloc")]
extern "C" fn realloc(_old: usize, _old_size: usize, align: usize, size: usize) -> usize {
    let base = &raw const __heap_base as usize;
    let address = (base + TAKEN.load(Ordering::Relaxed)).next_multiple_of(align);
    let end = address + size;
    let there = wasm32::memory_size(0) * PAGE;
    if end > there && wasm32::memory_grow(0, (end - there).div_ceil(PAGE)) == usize::MAX {
        wasm32::unreachable();
    }
    TAKEN.store(end - base, Ordering::Relaxed);
    address
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
