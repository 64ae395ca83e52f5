// node make-bcryptprimitives.mjs <prefix>/drive_c/windows/system32/bcryptprimitives.dll
// Writes a library of 1 KiB that Wine 8 lacks and that native dev tools ask for: its one function, ProcessPrng, is
// forwarded to the one that Wine has by another name (advapi32.SystemFunction036).
import { writeFileSync } from 'node:fs'

const [, , path] = process.argv
if (path === undefined) throw new Error('where to?')

/** One section: in memory at RVA, in the file at RAW. */
const RVA = 0x1000
const RAW = 0x200
const file = Buffer.alloc(0x400)
let at = 0

const u16 = (...values) => {
  for (const value of values) at = file.writeUInt16LE(value, at)
}
const u32 = (...values) => {
  for (const value of values) at = file.writeUInt32LE(value, at)
}
const u64 = (...values) => {
  for (const value of values) at = file.writeBigUInt64LE(BigInt(value), at)
}

file.write('MZ', 0, 'latin1')
file.writeUInt32LE(0x40, 0x3c)
file.write('PE\0\0', 0x40, 'latin1')

// COFF header: x64, one section, an optional header of 240 bytes, executable | large addresses | DLL.
at = 0x44
u16(0x8664, 1)
u32(0, 0, 0)
u16(240, 0x2022)

// Optional header of PE32+.
u16(0x20b, 0)
u32(0, RAW, 0, 0, RVA)
u64(0x180000000n)
u32(0x1000, RAW)
u16(6, 0, 0, 0, 6, 0)
u32(0, 0x2000, RAW, 0)
u16(2, 0x160)
u64(0x100000, 0x1000, 0x100000, 0x1000)
u32(0, 16)
const directories = at
at += 16 * 8

// Section header.
at += file.write('.rdata\0\0', at, 'latin1')
u32(RAW, RVA, RAW, RAW, 0, 0)
u16(0, 0)
u32(0x40000040)

// Export directory, then its tables, then the names they point to.
let free = 40
const take = bytes => {
  const start = free
  free += bytes
  return start
}
const text = value => {
  const start = take(value.length + 1)
  file.write(`${value}\0`, RAW + start, 'latin1')
  return start
}
const [functions, names, ordinals] = [take(4), take(4), take(4)]
const [library, name, forward] = ['bcryptprimitives.dll', 'ProcessPrng', 'advapi32.SystemFunction036'].map(
  text,
)
at = RAW
u32(0, 0, 0, RVA + library, 1, 1, 1, RVA + functions, RVA + names, RVA + ordinals)
file.writeUInt32LE(RVA + forward, RAW + functions)
file.writeUInt32LE(RVA + name, RAW + names)
file.writeUInt16LE(0, RAW + ordinals)
file.writeUInt32LE(RVA, directories)
file.writeUInt32LE(free, directories + 4)

writeFileSync(path, file)
