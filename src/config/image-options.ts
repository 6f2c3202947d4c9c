/** Options of this node's kubelet about images, under the names that its configuration has upstream. */

export const imageOptions = [
  {
    option: {
      name: 'imagePullCredentialsVerificationPolicy',
      flag: 'image-pull-credentials-verification-policy',
      type: 'image-verification',
    },
    value: { default: 'NeverVerifyPreloadedImages' },
    help: 'Which images that are there already a pod may use only with credentials that its registry takes.',
  },
  {
    option: {
      name: 'imageCredentialProviderConfig',
      flag: 'image-credential-provider-config',
      type: 'file',
    },
    value: { default: '', meaning: 'none' },
    help: 'Programs that have logins for registries: a CredentialProviderConfig of kubelet.config.k8s.io/v1.',
  },
  {
    option: {
      name: 'imageCredentialProviderBinDir',
      flag: 'image-credential-provider-bin-dir',
      type: 'file',
    },
    value: { default: '', meaning: "the configuration's own directory" },
    help: 'The directory of those programs.',
  },
] as const
