"""Small TIFFs with the tags of microscopes, made up; and the files of text beside images."""

from __future__ import annotations

import numpy as np
import tifffile

ZEISS, FEI, FEI_XML, COMMENT, TESCAN = 34118, 34682, 34683, 40092, 50431

FEI_TEXT = """[User]\r
Date=11/10/2023\r
Time=02:09:15 PM\r
[System]\r
SystemType=Scios\r
[Beam]\r
HV=2000\r
Beam=EBeam\r
Scan=EScan\r
[EBeam]\r
HFW=8e-06\r
VFW=6e-06\r
WD=0.0068\r
[EScan]\r
PixelWidth=2e-07\r
PixelHeight=2e-07\r
[Image]\r
ResolutionX=40\r
ResolutionY=30\r
[Detectors]\r
Name=ETD\r
[PrivateFei]\r
TimeOfCreation=10.11.2023 14:09:15\r
DatabarHeight=0\r
"""
THERMO_XML = """<?xml version="1.0"?>
<Metadata>
  <Instrument><InstrumentClass>Helios G4</InstrumentClass></Instrument>
  <Acquisition><AcquisitionDatetime>2020-08-18T13:40:03</AcquisitionDatetime></Acquisition>
  <Optics>
    <AccelerationVoltage>15000</AccelerationVoltage>
    <ScanFieldOfView><X>8E-06</X><Y>6E-06</Y></ScanFieldOfView>
    <WorkingDistance>0.004</WorkingDistance>
  </Optics>
  <ScanSettings><ScanArea><Width>40</Width><Height>30</Height></ScanArea></ScanSettings>
  <Detectors><ScanningDetector><DetectorName>TLD</DetectorName></ScanningDetector></Detectors>
  <BinaryResult>
    <ImageSize><X>40</X><Y>30</Y></ImageSize>
    <PixelSize>
      <X unit="m" unitPrefixPower="1">2E-07</X><Y unit="m" unitPrefixPower="1">2E-07</Y>
    </PixelSize>
  </BinaryResult>
</Metadata>"""
PHENOM_XML = """<?xml version="1.0" encoding="UTF-8"?>
<FeiImage>
  <pixelWidth unit="nm">200</pixelWidth><pixelHeight unit="nm">200</pixelHeight>
  <time>2019-08-07T09:37:31</time>
  <acquisition><scan><detector>bsd-all</detector><highVoltage unit="kV">-15</highVoltage></scan>
  </acquisition>
  <workingDistance unit="mm">8.25</workingDistance>
  <instrument><type>PhenomXL</type></instrument>
</FeiImage>"""
ZEISS_TEXT = "\r\n".join(
    [
        *("0", "0", "0", "7.8125e-09", "2000.0"),  # of 1024 columns: 200 nm of 40
        *("DP_DETECTOR_CHANNEL", "Signal A = InLens"),
        *("AP_IMAGE_PIXEL_SIZE", "Image Pixel Size = 200.0 nm"),
        *("AP_PIXEL_SIZE", "Pixel Size = 7.813 nm"),
        *("AP_WIDTH", "Width = 8.000 µm"),
        *("AP_HEIGHT", "Height = 6.000 µm"),
        *("AP_MAG", "Mag = 50.00 K X"),
        *("AP_WD", "WD = 3.9 mm"),
        *("AP_ACTUALKV", "EHT = 5.00 kV"),
        *("AP_DATE", "Date :25 Sep 2018"),
        *("AP_TIME", "Time :8:20:42"),
        *("SV_SERIAL_NUMBER", "Serial No. = ULTRA 55"),
    ]
)
TESCAN_TEXT = (
    "AccFrames=1\r\nDate=2016-05-16\r\nDevice=MIRA3 XMU\r\nImageStripSize=6\r\n"
    "Magnification=108.08\r\nPixelSizeX=2.0e-7\r\nPixelSizeY=2.0e-7\r\nTime=16:03:27\r\n"
    "\0Detector=SE\r\nHV=10.0000e3\r\nWD=13.250e-3\r\n"
)
TESCAN_HDR = (
    "[MAIN]\r\nDevice=VEGA\r\nMagnification=500\r\nPixelSizeX=2e-7\r\nPixelSizeY=2e-7\r\n"
    "Date=2016-05-16\r\nTime=16:03:27\r\n[SEM]\r\nDetector=BSE\r\nHV=20000\r\nWD=0.01\r\n"
)
HITACHI_TEXT = (
    "[SemImageFile]\r\nInstructName=TM4000\r\nDate=2021/06/23\r\nTime=16:43:33\r\n"
    "DataSize=40x30\r\nPixelSize=200\r\nSignalName=BSE\r\nAcceleratingVoltage=15000 Volt\r\n"
    "Magnification=15875\r\nWorkingDistance=7920.5 um\r\n"
)
JEOL_TEXT = (
    "$SEM_DATA_VERSION 1\r\n$CM_DETECTOR SEI\r\n$CM_ACCEL_VOLT 7.00\r\n$$SM_WD 10.52\r\n"
    "$CM_MAG 15000\r\n$CM_FORMAT JEOL-SEM\r\n$CM_DATE 2020/08/31\r\n$CM_TIME 15:32:31\r\n"
    "$CM_INSTRUMENT 8530F\r\n$$SM_MICRON_BAR 10\r\n$$SM_MICRON_MARKER 2um\r\n"
    "$CM_FULL_SIZE 40 30\r\n"
)


def write_tiff(path, tags=(), shape=(30, 40), **how):
    """Write a small grey image with tags: number -> text or bytes."""
    extra = []
    for code, value in dict(tags).items():
        data = value.encode("cp1252") if isinstance(value, str) else value
        extra.append((code, "B" if code in (COMMENT, TESCAN) else "s", len(data), data, True))
    pixels = np.random.default_rng(0).integers(60, 180, shape, dtype=np.uint8)
    how = {"metadata": None, "resolution": (96, 96), "resolutionunit": "INCH", **how}
    tifffile.imwrite(path, pixels, extratags=extra, photometric="minisblack", **how)
    return path
