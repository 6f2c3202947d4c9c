/** What options may be that are one of a few words, by their type. */
export const choices = {
  runtime: ['auto', 'oci', 'containerd', 'process', 'simulated'],
  'log-level': ['debug', 'info', 'warn', 'error'],
  failover: ['normal', 'fast'],
  voters: ['3', '5'],
  'image-verification': ['NeverVerifyPreloadedImages', 'NeverVerify', 'AlwaysVerify'],
  'cpu-policy': ['none', 'static'],
} as const
