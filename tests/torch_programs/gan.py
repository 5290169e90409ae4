"""A generative adversarial network on the line: two optimisers, detach, BCELoss."""

import torch
import torch.nn as nn
import torch.optim as optim

NEEDS = ()
nz = 4


def weights_init(m):
    classname = m.__class__.__name__
    if classname.find("Linear") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.2)
        nn.init.constant_(m.bias.data, 0)


def make():
    netG = nn.Sequential(nn.Linear(nz, 16), nn.ReLU(True), nn.Linear(16, 1))
    netD = nn.Sequential(
        nn.Linear(1, 16), nn.LeakyReLU(0.2, inplace=True), nn.Linear(16, 1), nn.Sigmoid()
    )
    netG.apply(weights_init)
    netD.apply(weights_init)
    return nn.ModuleList([netG, netD])


def train(nets, device="cpu", batch_size=64):
    """How far the mean of what the generator makes is from that of the data, while it learns."""
    netG, netD = nets
    criterion = nn.BCELoss()
    fixed_noise = torch.randn(256, nz, device=device)
    real_label, fake_label = 1.0, 0.0
    optimizerD = optim.Adam(netD.parameters(), lr=0.01, betas=(0.5, 0.999))
    optimizerG = optim.Adam(netG.parameters(), lr=0.01, betas=(0.5, 0.999))
    away = []
    for _ in range(120):
        netD.zero_grad()
        real = torch.randn(batch_size, 1, device=device) * 0.5 + 3
        label = torch.full((batch_size,), real_label, dtype=torch.float, device=device)
        errD_real = criterion(netD(real).view(-1), label)
        errD_real.backward()
        noise = torch.randn(batch_size, nz, device=device)
        fake = netG(noise)
        label.fill_(fake_label)
        errD_fake = criterion(netD(fake.detach()).view(-1), label)
        errD_fake.backward()
        optimizerD.step()
        netG.zero_grad()
        label.fill_(real_label)
        errG = criterion(netD(fake).view(-1), label)
        errG.backward()
        optimizerG.step()
        with torch.no_grad():
            away.append(abs(netG(fixed_noise).detach().cpu().mean().item() - 3))
    return away
