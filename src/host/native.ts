/** Functions of the system's own libraries, called without an add-on of our own. */

type Ffi = typeof import('node:ffi')
export type NativeLibrary = InstanceType<Ffi['DynamicLibrary']>

/** Null for what this process has loaded already. Throws where there is no such library, or no way to call it. */
export function loadLibrary(name: string | null): NativeLibrary {
  const { DynamicLibrary } = quietly(() => process.getBuiltinModule('node:ffi'))
  return new DynamicLibrary(name)
}

/** Node says on standard error that the module is new; that is no news for whoever reads the daemon's log. */
function quietly<T>(load: () => T): T {
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return load()
  } finally {
    process.emitWarning = emitWarning
  }
}
